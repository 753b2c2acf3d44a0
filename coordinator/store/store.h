#ifndef RECKON_COORDINATOR_STORE_STORE_H_
#define RECKON_COORDINATOR_STORE_STORE_H_

#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Puts and deletes that reach the disk together, in order.
struct Writes {
  struct Op {
    std::string key;
    std::string value;
    bool is_delete;
  };
  std::vector<Op> ops;
  size_t bytes = 0;

  void Put(std::string key, std::string value) {
    bytes += key.size() + value.size();
    ops.push_back({std::move(key), std::move(value), false});
  }
  void Delete(std::string key) {
    bytes += key.size();
    ops.push_back({std::move(key), "", true});
  }
  // Appends all of `later`; cheap when one of both is small.
  void Append(Writes later) {
    bytes += later.bytes;
    if (ops.empty()) {
      ops = std::move(later.ops);
      return;
    }
    ops.insert(ops.end(), std::make_move_iterator(later.ops.begin()),
               std::make_move_iterator(later.ops.end()));
  }
  bool empty() const { return ops.empty(); }
};

// The durable key-value store of the coordinator: an ordered map from bytes to bytes, whose layout
// is in store_keys.h. Two implementations: RocksStore, and MemoryStore for tests. Owned by main (or
// a test); any thread reads, the committer's thread alone writes. Thread-safe.
class Store {
 public:
  virtual ~Store() = default;

  // Writes all of it or nothing; on the disk when this returns. After an error it is unknown
  // which, so the process must stop.
  virtual absl::Status Write(const Writes& writes) = 0;

  // NOT_FOUND when the key is absent, INTERNAL when the disk fails.
  virtual absl::StatusOr<std::string> Get(absl::string_view key) const = 0;

  // Calls `each` in key order for every key that begins with `prefix` and is not less than `from`,
  // until `each` returns false. `from` empty: from the first key.
  virtual absl::Status Scan(
      absl::string_view prefix, absl::string_view from,
      const std::function<bool(absl::string_view key, absl::string_view value)>& each) const = 0;

  // Gives the room of deleted rollouts back to the disk, as far as the store has not done so by
  // itself. Rewrites what is stored: may take minutes, beside reads and writes.
  virtual absl::Status Compact() { return absl::OkStatus(); }
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_STORE_STORE_H_
