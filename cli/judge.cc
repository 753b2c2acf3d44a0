#include "cli/judge.h"

#include <google/protobuf/util/delimited_message_util.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/local_roles.h"
#include "cli/process.h"
#include "common/base/status_macros.h"

namespace reckon {

Judge::Judge(std::string folder, std::vector<std::string> argv)
    : folder_(std::move(folder)), argv_(std::move(argv)) {}

absl::Status Judge::Record(const Rollout& rollout) {
  std::ofstream file(folder_ + "/rollouts", std::ios::binary | std::ios::app);
  if (!google::protobuf::util::SerializeDelimitedToOstream(rollout, &file) || !file.flush()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write ", folder_, "/rollouts: is there room? TMPDIR chooses another"));
  }
  ++recorded_;
  return absl::OkStatus();
}

absl::StatusOr<Judge::Scores> Judge::ReadScores() const {
  Scores scores;
  std::ifstream file(folder_ + "/scores");
  uint64_t group = 0;
  uint32_t sample = 0;
  double probability = 0;
  while (file >> group >> sample >> probability) scores[{group, sample}] = probability;
  return scores;
}

absl::StatusOr<Judge::Scores> Judge::Run(const StopToken* stop,
                                         const std::function<void(double)>& progress) {
  Command command = {"judge", {ProgramsFolder() + "/reckon-judge"}, folder_ + "/logs/judge.log"};
  command.argv.push_back(absl::StrCat("--rollouts=", folder_, "/rollouts"));
  command.argv.push_back(absl::StrCat("--scores=", folder_, "/scores"));
  command.argv.insert(command.argv.end(), argv_.begin(), argv_.end());
  ASSIGN_OR_RETURN(Process process, Process::Start(command));
  std::optional<int> ended;
  while (!(ended = process.Poll()).has_value()) {
    if (stop->WaitFor(absl::Milliseconds(200))) return absl::CancelledError("stopped");
    ASSIGN_OR_RETURN(const Scores scores, ReadScores());
    progress(static_cast<double>(scores.size()));
  }
  ASSIGN_OR_RETURN(Scores scores, ReadScores());
  if (*ended != 0 || scores.size() != recorded_) {
    return absl::InternalError(absl::StrCat("reckon-judge ", DescribeExit(*ended), " with ",
                                            scores.size(), " of ", recorded_, " rollouts judged\n",
                                            LastLines(command.log_path, 3)));
  }
  return scores;
}

}  // namespace reckon
