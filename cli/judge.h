#ifndef RECKON_CLI_JUDGE_H_
#define RECKON_CLI_JUDGE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/stop_token.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A reward model's opinion of rollouts. They are recorded in a file as they come, and judged
// together by reckon-judge, which has LibTorch and memory of its own. One thread.
class Judge {
 public:
  // Group and sample -> the probability that it ends in the right answer.
  using Scores = std::map<std::pair<uint64_t, uint32_t>, double>;

  // Files and the log go to `folder`; `argv`: further arguments of reckon-judge.
  Judge(std::string folder, std::vector<std::string> argv);

  absl::Status Record(const Rollout& rollout);
  // Waits, telling how many are judged. CANCELLED when stopped; other errors are the program's
  // last lines.
  absl::StatusOr<Scores> Run(const StopToken* stop, const std::function<void(double)>& progress);

 private:
  absl::StatusOr<Scores> ReadScores() const;

  const std::string folder_;
  std::vector<std::string> argv_;
  uint64_t recorded_ = 0;
};

}  // namespace reckon

#endif  // RECKON_CLI_JUDGE_H_
