#ifndef RECKON_COORDINATOR_STORE_WAL_CHECK_H_
#define RECKON_COORDINATOR_STORE_WAL_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace reckon {

// RocksDB treats a record whose length exceeds the rest of its log as a torn last write, even when
// the length itself is damaged and whole records follow. It would then drop acknowledged data
// silently. Call this before opening a store: it reads every write-ahead log and returns DATA_LOSS
// when whole records follow an unreadable one.
absl::Status CheckLogs(const std::string& folder);

// The same for the bytes of one log; `name` is for the message.
absl::Status CheckLog(absl::string_view name, absl::string_view bytes);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_STORE_WAL_CHECK_H_
