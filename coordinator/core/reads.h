#ifndef RECKON_COORDINATOR_CORE_READS_H_
#define RECKON_COORDINATOR_CORE_READS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "coordinator/store/store.h"

namespace reckon {

// The records of the store that one event needs. The core itself never reads the store: a disk may
// take milliseconds, and the core runs under the lock that every call needs. Instead an event asks
// for what it lacks, and is repeated:
//
//   1. under the lock      Find or Exists notes a record that was not loaded; the event returns,
//                          has changed nothing, and what it returned means nothing
//   2. without the lock    Load reads what was noted
//   3. under the lock      the event runs again, from its beginning
//
// until nothing is wanted. Between 1 and 3 other events run. What was read is still true then,
// because a record that the core does not hold in memory is never changed, and
//   - it comes into being only when memory forgets it: Since() then drops all that was read
//   - rollouts are deleted by evictions, which selections hold up (evictions.h)
//
// Of one caller; not thread-safe.
class Reads {
 public:
  // The record under `key`, or nothing when there is none. Null: it is wanted.
  const std::optional<std::string>* Find(const std::string& key);
  // Whether there is a record. Without a value: that is wanted.
  std::optional<bool> Exists(const std::string& key);
  bool wanted() const { return !wanted_.empty(); }

  // INTERNAL when the disk fails.
  absl::Status Load(const Store& store);
  // Whether evictions are held up until the event is repeated; kept by Core.
  bool holds_evictions() const { return holds_evictions_; }
  void set_holds_evictions(bool holds) { holds_evictions_ = holds; }
  // An event begins; `forgotten` counts the records that memory has forgotten.
  void Since(uint64_t forgotten);

 private:
  struct Wanted {
    std::string key;
    bool value;  // it is wanted itself, not only whether it exists
  };
  absl::flat_hash_map<std::string, std::optional<std::string>> records_;
  absl::flat_hash_map<std::string, bool> exists_;
  std::vector<Wanted> wanted_;
  uint64_t forgotten_ = 0;
  bool holds_evictions_ = false;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_READS_H_
