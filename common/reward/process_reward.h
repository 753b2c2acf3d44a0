#ifndef RECKON_COMMON_REWARD_PROCESS_REWARD_H_
#define RECKON_COMMON_REWARD_PROCESS_REWARD_H_

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "common/reward/line_process.h"
#include "common/reward/outcome.h"
#include "common/reward/reward_worker.h"
#include "proto/reward.pb.h"
#include "proto/reward_service.pb.h"

namespace reckon {

// RewardSpec.PROCESS: a program of the user's.
//
//   none --> started by the first attempt --> replies, attempt after attempt
//    ^            |  a timeout, an end, a reply that is none                |
//    `------------+------------ killed <------------------------------------'
//
// The first reply of a process has more time, in which the program starts: a minute, and three
// times what the first reply took, at least a second, once there was one. After a failure the next
// start waits, from 0.1 s on twice as long each time, 5 s at most, until a reply comes.
class ProcessReward final : public RewardWorker {
 public:
  // `argv`: SplitCommand of the spec's command.
  ProcessReward(std::vector<std::string> argv, const RewardSpec& spec);
  RewardOutcome Score(const ScoreRequest& request, const std::stop_token& stop,
                      absl::FunctionRef<void(const std::string&)> waits) override;

 private:
  RewardOutcome Attempt(const ScoreRequest& request, const std::stop_token& stop);

  const std::vector<std::string> argv_;
  const RewardSpec spec_;
  std::unique_ptr<LineProcess> process_;
  bool replied_ = false;  // has process_
  absl::Duration starts_within_;
  int failures_ = 0;  // in a row, after which the process was killed or not started
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_PROCESS_REWARD_H_
