#ifndef RECKON_LEARNER_RUN_START_H_
#define RECKON_LEARNER_RUN_START_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/config.pb.h"

namespace reckon {

// Whether this start of the learner continues the run in the folder, rather than begins one there:
// with `resume`, or when the start before was of the same launch. A launch is one request of the
// user, for which a scheduler may start the learner many times with the same arguments; empty: it
// has no name. Keeps config.textproto and the launch's name in the folder. The leader's, before it
// makes anything of the run. FAILED_PRECONDITION, one line, and the folder stays as it is: it holds
// a run that is not to be continued, or that cannot continue with this config
// (common/config/resume_rules.h).
absl::StatusOr<bool> ContinuesRun(const std::string& run_dir, const RunConfig& config, bool resume,
                                  const std::string& launch);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_START_H_
