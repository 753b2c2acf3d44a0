#ifndef RECKON_COORDINATOR_STORE_ROCKS_STORE_H_
#define RECKON_COORDINATOR_STORE_ROCKS_STORE_H_

#include <memory>
#include <string>

#include "coordinator/store/store.h"

namespace rocksdb {
class DB;
}

namespace reckon {

// The store on disk: a RocksDB folder that one process opens at a time. Thread-safe.
//
// What Write returned OK for survives a kill and a power cut. Open drops a last write that was
// torn, because it was never acknowledged. It refuses damage anywhere before the end of the log
// with DATA_LOSS, because dropping what follows would lose acknowledged rollouts.
class RocksStore : public Store {
 public:
  // UNAVAILABLE: another process has it open. DATA_LOSS: it is damaged. Messages are one line.
  static absl::StatusOr<std::unique_ptr<RocksStore>> Open(const std::string& folder);
  ~RocksStore() override;

  absl::Status Write(const Writes& writes) override;
  absl::StatusOr<std::string> Get(absl::string_view key) const override;
  absl::Status Scan(
      absl::string_view prefix, absl::string_view from,
      const std::function<bool(absl::string_view, absl::string_view)>& each) const override;
  absl::Status Compact() override;

 private:
  explicit RocksStore(std::unique_ptr<rocksdb::DB> db);

  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_STORE_ROCKS_STORE_H_
