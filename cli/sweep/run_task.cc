#include "cli/sweep/run_task.h"

#include <signal.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/launcher/local_roles.h"
#include "cli/sweep/run_state.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr int kLinesRead = 40;
constexpr size_t kWordsShown = 1000;

}  // namespace

absl::StatusOr<RunTask> RunTask::Start(const SweepRun& run, SweepEngine engine, bool resume,
                                       const std::string& logs) {
  Command command;
  command.name = run.name;
  command.argv = {ProgramsFolder() + "/reckon"};
  for (std::string& argument : RunArguments(run, engine, resume)) {
    command.argv.push_back(std::move(argument));
  }
  command.log_path = absl::StrCat(logs, "/", run.name, ".log");
  ASSIGN_OR_RETURN(Process process, Process::Start(command));
  return RunTask(run, std::move(process), command.log_path);
}

std::optional<absl::Status> RunTask::Poll() {
  const std::optional<int> ended = process_.Poll();
  if (!ended) return std::nullopt;
  if (*ended == 0) {
    const absl::StatusOr<RunState> state = InspectRun(*run_);
    if (!state.ok()) return state.status();
    if (*state == RunState::kFinished) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("ended, but ", run_->folder(), " is not finished"));
  }
  std::string words = LastWordsOfRun(log_);
  if (words.empty()) words = DescribeExit(*ended);
  return absl::AbortedError(words);
}

std::string LastWordsOfRun(const std::string& log_path) {
  const std::string text = LastLines(log_path, kLinesRead);
  const std::string error = "\nreckon: ";
  const size_t at = text.rfind(error);
  if (at == std::string::npos) {
    const std::string last = text.substr(text.rfind('\n') + 1);
    return absl::StartsWith(last, "$ ") ? "" : last;
  }
  std::string words = text.substr(at + error.size());
  words.resize(std::min(words.find("fix that, then run:"), words.size()));
  absl::string_view clean = absl::StripTrailingAsciiWhitespace(words);
  absl::ConsumeSuffix(&clean, ";");
  return std::string(clean.substr(0, kWordsShown));
}

}  // namespace reckon
