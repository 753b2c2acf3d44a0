#ifndef RECKON_CLI_LAUNCHER_REWARD_PROGRAMS_H_
#define RECKON_CLI_LAUNCHER_REWARD_PROGRAMS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/reward/line_process.h"
#include "proto/config.pb.h"

namespace reckon {

// The programs of a run's rewards of kind PROCESS, started once before the run is: a program that
// cannot run ends then, and not when the stage that needs it begins, hours of training later. Of
// `reckon train`, which starts its actors with the same environment and folder.
class RewardPrograms {
 public:
  // FAILED_PRECONDITION names the command that cannot be started.
  static absl::StatusOr<RewardPrograms> Start(const RunConfig& config);
  // FAILED_PRECONDITION: one of them has ended by itself. Waits until all have run for a second,
  // and kills them.
  absl::Status Check() &&;

 private:
  std::vector<std::pair<std::string, std::unique_ptr<LineProcess>>> programs_;  // by command
  absl::Time started_;
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_REWARD_PROGRAMS_H_
