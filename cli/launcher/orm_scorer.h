#ifndef RECKON_CLI_LAUNCHER_ORM_SCORER_H_
#define RECKON_CLI_LAUNCHER_ORM_SCORER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Scores rollouts with an outcome reward model. The command line does not link LibTorch, so the
// rollouts are recorded in a file and scored together by the program reckon-orm:
//
//   1. Record   appends each rollout to <folder>/rollouts
//   2. Run      starts reckon-orm, follows <folder>/scores while it grows, and returns the scores
//
// Owned and used by the thread of `reckon eval`.
class OrmScorer {
 public:
  // (group, sample) -> the probability that the sample ends in the right answer.
  using Scores = std::map<std::pair<uint64_t, uint32_t>, double>;

  // Files and the log (<folder>/logs/orm.log) go to `folder`. `argv` are the arguments of
  // reckon-orm besides the names of these files.
  OrmScorer(std::string folder, std::vector<std::string> argv);

  // RESOURCE_EXHAUSTED when the file cannot be written.
  absl::Status Record(const Rollout& rollout);
  // Waits for the end of the program, and calls `progress` with the number of rollouts scored so
  // far five times a second. CANCELLED when stopped; INTERNAL when the program fails or leaves out
  // a rollout, with the last lines of its log.
  absl::StatusOr<Scores> Run(std::stop_token stop, const std::function<void(double)>& progress);

 private:
  Scores ReadScores() const;

  const std::string folder_;
  const std::vector<std::string> argv_;
  uint64_t recorded_ = 0;
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_ORM_SCORER_H_
