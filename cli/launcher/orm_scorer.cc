#include "cli/launcher/orm_scorer.h"

#include <google/protobuf/util/delimited_message_util.h>

#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/process.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

// A child can only be waited for by polling; the scores file is read at the same pace.
constexpr absl::Duration kPoll = absl::Milliseconds(200);

}  // namespace

OrmScorer::OrmScorer(std::string folder, std::vector<std::string> argv)
    : folder_(std::move(folder)), argv_(std::move(argv)) {}

absl::Status OrmScorer::Record(const Rollout& rollout) {
  std::ofstream file(folder_ + "/rollouts", std::ios::binary | std::ios::app);
  if (!google::protobuf::util::SerializeDelimitedToOstream(rollout, &file) || !file.flush()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write ", folder_,
                     "/rollouts; free some disk space, or set TMPDIR to another disk"));
  }
  ++recorded_;
  return absl::OkStatus();
}

OrmScorer::Scores OrmScorer::ReadScores() const {
  Scores scores;
  std::ifstream file(folder_ + "/scores");
  uint64_t group = 0;
  uint32_t sample = 0;
  double probability = 0;
  while (file >> group >> sample >> probability) scores[{group, sample}] = probability;
  return scores;
}

absl::StatusOr<OrmScorer::Scores> OrmScorer::Run(std::stop_token stop,
                                                 const std::function<void(double)>& progress) {
  Command command = {
      .name = "orm",
      .argv = {ProgramsFolder() + "/reckon-orm", absl::StrCat("--rollouts=", folder_, "/rollouts"),
               absl::StrCat("--scores=", folder_, "/scores")},
      .log_path = folder_ + "/logs/orm.log"};
  command.argv.insert(command.argv.end(), argv_.begin(), argv_.end());
  ASSIGN_OR_RETURN(Process process, Process::Start(command));
  std::optional<int> ended;
  while (!(ended = process.Poll()).has_value()) {
    if (WaitForStop(stop, kPoll)) return absl::CancelledError("stopped");
    progress(static_cast<double>(ReadScores().size()));
  }
  Scores scores = ReadScores();
  if (*ended != 0 || scores.size() != recorded_) {
    return absl::InternalError(absl::StrCat("reckon-orm ", DescribeExit(*ended), " with ",
                                            scores.size(), " of ", recorded_, " rollouts scored\n",
                                            LastLines(command.log_path, 3)));
  }
  return scores;
}

}  // namespace reckon
