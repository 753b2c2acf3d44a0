#ifndef RECKON_TESTS_SUPPORT_MEMORY_STORE_H_
#define RECKON_TESTS_SUPPORT_MEMORY_STORE_H_

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/store.h"

namespace reckon {

// For tests: a store in memory that never fails. Thread-safe. A callback of Scan must not use it.
class MemoryStore : public Store {
 public:
  absl::Status Write(const Writes& writes) override;
  absl::StatusOr<std::string> Get(absl::string_view key) const override;
  absl::Status Scan(
      absl::string_view prefix, absl::string_view from,
      const std::function<bool(absl::string_view, absl::string_view)>& each) const override;

 private:
  mutable absl::Mutex mu_;
  std::map<std::string, std::string> map_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_MEMORY_STORE_H_
