#ifndef RECKON_COORDINATOR_ROCKS_STORE_H_
#define RECKON_COORDINATOR_ROCKS_STORE_H_

#include <memory>
#include <string>

#include "coordinator/store.h"

namespace rocksdb {
class DB;
}

namespace reckon {

// The store on disk, a RocksDB folder that one process holds at a time. Thread-safe.
//
// What Write returned OK for survives a kill and a power cut. A write that was torn before it was
// acknowledged is dropped at Open; damage anywhere before the end of the log is refused with
// DATA_LOSS, because dropping what follows would lose acknowledged rollouts.
class RocksStore : public Store {
 public:
  // UNAVAILABLE: another process holds it. DATA_LOSS: damaged. Messages are one line.
  static absl::StatusOr<std::unique_ptr<RocksStore>> Open(const std::string& folder);
  ~RocksStore() override;

  absl::Status Write(const Writes& writes) override;
  absl::StatusOr<std::string> Get(absl::string_view key) const override;
  absl::Status Scan(
      absl::string_view prefix, absl::string_view from,
      const std::function<bool(absl::string_view, absl::string_view)>& each) const override;

 private:
  explicit RocksStore(std::unique_ptr<rocksdb::DB> db);

  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_ROCKS_STORE_H_
