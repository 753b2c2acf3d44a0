#include "cli/launcher/reward_programs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/command_words.h"
#include "common/base/status_macros.h"
#include "common/task/reward/own_rewards.h"

namespace reckon {
namespace {

// In which most programs that cannot run have found out: no such file, a module that is missing.
constexpr absl::Duration kRunsFor = absl::Seconds(1);

absl::Status CannotRun(const std::string& command, const absl::Status& why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the reward's command \"", command, "\" cannot run here: ", why.message()));
}

}  // namespace

absl::StatusOr<RewardPrograms> RewardPrograms::Start(const RunConfig& config) {
  RewardPrograms out;
  for (const std::string& command : RewardCommands(config)) {
    ASSIGN_OR_RETURN(const std::vector<std::string> words, SplitCommand(command));
    auto program = LineProcess::Start(words, /*memory_bytes=*/0);
    if (!program.ok()) return CannotRun(command, program.status());
    out.programs_.emplace_back(command, *std::move(program));
  }
  out.started_ = absl::Now();
  return out;
}

absl::Status RewardPrograms::Check() && {
  const auto programs = std::move(programs_);
  for (const auto& [command, program] : programs) {
    const absl::Status runs = program->RunsUntil(started_ + kRunsFor);
    if (!runs.ok()) return CannotRun(command, runs);
  }
  return absl::OkStatus();
}

}  // namespace reckon
