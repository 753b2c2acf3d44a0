#ifndef RECKON_COORDINATOR_WAL_CHECK_H_
#define RECKON_COORDINATOR_WAL_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace reckon {

// RocksDB takes a record whose length runs past the end of its log for a torn last write, also when
// that length is itself damage and whole records follow: it would then drop acknowledged data in
// silence. This looks at every write-ahead log of a closed store first: DATA_LOSS when whole
// records follow an unreadable one.
absl::Status CheckLogs(const std::string& folder);

// The same for the bytes of one log; `name` is for the message.
absl::Status CheckLog(absl::string_view name, absl::string_view bytes);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_WAL_CHECK_H_
