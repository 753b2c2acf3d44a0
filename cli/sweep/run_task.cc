#include "cli/sweep/run_task.h"

#include <signal.h>
#include <sys/wait.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/launcher/local_roles.h"
#include "cli/sweep/cluster_job.h"
#include "cli/sweep/run_state.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"

namespace reckon {
namespace {

constexpr int kLinesRead = 40;
constexpr size_t kWordsShown = 1000;

}  // namespace

absl::StatusOr<RunTask> RunTask::Start(const SweepRun& run, bool resume, const Options& options) {
  RunTask task(run, options);
  const SweepEngine engine = options.engine;
  if (engine != SweepEngine::kLocal && resume) {
    ASSIGN_OR_RETURN(const bool submitted, HasClusterJob(run, engine));
    if (submitted) return task;
  }
  if (engine == SweepEngine::kKubernetes) {
    // `launch --kubernetes` leaves no config in the run folder here.
    RETURN_IF_ERROR(MakeFolders(run.folder()));
    RETURN_IF_ERROR(
        WriteFileAtomically(run.folder() + "/config.textproto", FormatConfig(run.config)));
  }
  Command command;
  command.name = run.name;
  command.argv = {ProgramsFolder() + "/reckon"};
  for (std::string& argument : RunArguments(run, engine, resume)) {
    command.argv.push_back(std::move(argument));
  }
  command.log_path = task.log_;
  ASSIGN_OR_RETURN(task.process_, Process::Start(command));
  return task;
}

std::optional<absl::Status> RunTask::Poll() {
  if (!process_) return PollJob();
  const std::optional<int> ended = process_->Poll();
  if (!ended) return std::nullopt;
  if (*ended != 0) {
    std::string words = LastWordsOfRun(log_);
    if (words.empty()) return absl::AbortedError(DescribeExit(*ended));
    // What it said before a signal is not why it ended.
    if (WIFSIGNALED(*ended))
      words = absl::StrCat(DescribeExit(*ended), "; its last words: ", words);
    return absl::AbortedError(words);
  }
  if (options_.engine != SweepEngine::kLocal) {
    process_.reset();
    return PollJob();
  }
  const absl::StatusOr<RunState> state = InspectRun(*run_);
  if (!state.ok()) return state.status();
  if (*state == RunState::kFinished) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("ended, but ", run_->folder(), " is not finished"));
}

std::optional<absl::Status> RunTask::PollJob() {
  const absl::Time now = absl::Now();
  if (now < next_look_) return std::nullopt;
  next_look_ = now + options_.look_every;
  const bool ask = now >= next_ask_;
  // The scheduler first: what ends between the two questions has written its progress before.
  absl::StatusOr<bool> has_job = true;
  if (ask) {
    next_ask_ = now + options_.ask_every;
    has_job = HasClusterJob(*run_, options_.engine);
  }
  const absl::StatusOr<RunState> state = InspectRun(*run_);
  if (!state.ok()) return state.status();
  if (*state == RunState::kFinished) return absl::OkStatus();
  // A scheduler that does not answer says nothing about the run.
  if (!has_job.ok() || *has_job) return std::nullopt;
  return absl::AbortedError(absl::StrCat("its job has ended and the run is not finished; logs in ",
                                         run_->folder(), "/logs"));
}

void RunTask::RequestStop() {
  if (process_) process_->Signal(SIGTERM);
}

bool RunTask::AwaitEnd(absl::Duration timeout) {
  return !process_ || process_->Wait(timeout).has_value();
}

std::string LastWordsOfRun(const std::string& log_path) {
  const std::string text = "\n" + LastLines(log_path, kLinesRead);
  const std::string error = "\nreckon: ";
  const size_t at = text.rfind(error);
  if (at == std::string::npos) return text.substr(text.rfind('\n') + 1);
  std::string words = text.substr(at + error.size());
  words.resize(std::min(words.find("fix that, then run:"), words.size()));
  absl::string_view clean = absl::StripTrailingAsciiWhitespace(words);
  absl::ConsumeSuffix(&clean, ";");
  return std::string(clean.substr(0, kWordsShown));
}

}  // namespace reckon
