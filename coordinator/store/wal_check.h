#ifndef RECKON_COORDINATOR_STORE_WAL_CHECK_H_
#define RECKON_COORDINATOR_STORE_WAL_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// RocksDB treats a record whose length exceeds the rest of its log as a torn last write, even when
// the length itself is damaged and whole records follow. It would then drop acknowledged data
// silently. And it refuses a last write of several blocks of which a power cut left a later block
// and not an earlier one: blocks reach the disk in any order. Call this before opening a store,
// with its lock: it reads every write-ahead log, and cuts a torn last write, which was never
// acknowledged, off the last log that is not empty. DATA_LOSS: a write is damaged that others
// follow.
absl::Status CutTornWrite(const std::string& folder);

// The size of one log without a torn last write. DATA_LOSS as above; `name` is for the message.
absl::StatusOr<size_t> WholeWrites(absl::string_view name, absl::string_view bytes);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_STORE_WAL_CHECK_H_
