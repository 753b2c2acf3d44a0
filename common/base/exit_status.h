#ifndef RECKON_COMMON_BASE_EXIT_STATUS_H_
#define RECKON_COMMON_BASE_EXIT_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace reckon {

// The exit statuses of the roles, by which who starts them knows whether another start may help. 75
// and 78 are those of sysexits.h.
inline constexpr int kExitFailed = 1;    // start it again, but not without end
inline constexpr int kExitMayHeal = 75;  // EX_TEMPFAIL: start it again
inline constexpr int kExitRecurs = 78;   // EX_CONFIG: another start ends the same way

// kExitRecurs for a status whose cause is in what the role was given: INVALID_ARGUMENT, NOT_FOUND,
// ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE and UNIMPLEMENTED. And for
// ABORTED, with which the coordinator refuses a learner of an older term: a start would begin a new
// term and so take the run from the group that has taken over, which would then do the same.
// kExitMayHeal where something else did not answer or the role was stopped: UNAVAILABLE,
// DEADLINE_EXCEEDED and CANCELLED. kExitFailed for every other error, such as a loss that is not
// finite or a full disk, which may come again at the same place. 0 for OK.
int ExitStatus(const absl::Status& status);

// A wait status (waitpid) for humans: "exited with code 1", "killed by signal 9 (Killed)".
std::string DescribeExit(int wait_status);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_EXIT_STATUS_H_
