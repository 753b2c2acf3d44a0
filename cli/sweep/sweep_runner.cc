#include "cli/sweep/sweep_runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/telemetry/progress.h"

namespace reckon {

absl::StatusOr<std::vector<RunState>> InspectRuns(const SweepPlan& plan) {
  std::vector<RunState> states;
  std::vector<std::string> errors;
  for (const SweepRun& run : plan.runs) {
    const absl::StatusOr<RunState> state = InspectRun(run);
    if (!state.ok()) errors.emplace_back(state.status().message());
    states.push_back(state.value_or(RunState::kNew));
  }
  if (errors.empty()) return states;
  return absl::FailedPreconditionError(absl::StrJoin(errors, "\n"));
}

absl::Status SweepRunner::Run(std::stop_token stop) {
  RETURN_IF_ERROR(MakeFolders(options_.task.logs));
  RETURN_IF_ERROR(Inspect());
  while (true) {
    StartRuns();
    if (tasks_.empty()) break;
    Show();
    if (WaitForStop(stop, options_.poll)) {
      StopAll();
      return absl::CancelledError("stopped");
    }
    PollRuns();
  }
  Show();
  return absl::OkStatus();
}

absl::Status SweepRunner::Inspect() {
  ASSIGN_OR_RETURN(const std::vector<RunState> found, InspectRuns(plan_));
  states_.clear();
  has_folder_.clear();
  for (const RunState state : found) {
    states_.push_back(state == RunState::kFinished ? State::kFinished : State::kWaiting);
    has_folder_.push_back(state != RunState::kNew);
  }
  return absl::OkStatus();
}

void SweepRunner::StartRuns() {
  for (size_t i = 0; i < plan_.runs.size() && tasks_.size() < options_.parallel; ++i) {
    if (states_[i] != State::kWaiting) continue;
    const int start = plan_.runs[i].start;
    if (start < 0 || states_[start] == State::kFinished) {
      Start(i);
    } else if (states_[start] == State::kFailed) {
      End(i, absl::AbortedError(
                 absl::StrCat("the run that it begins from failed: ", plan_.runs[start].name)));
    }
  }
}

void SweepRunner::Start(size_t index) {
  const SweepRun& run = plan_.runs[index];
  const bool resume = has_folder_[index];
  absl::StatusOr<RunTask> task = RunTask::Start(run, resume, options_.task);
  if (!task.ok()) {
    End(index, task.status());
    return;
  }
  states_[index] = State::kRunning;
  tasks_.emplace(index, *std::move(task));
  display_->Print(absl::StrCat(resume ? "resuming " : "starting ", run.name));
}

void SweepRunner::PollRuns() {
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const std::optional<absl::Status> ended = it->second.Poll();
    if (!ended) {
      ++it;
      continue;
    }
    const size_t index = it->first;
    it = tasks_.erase(it);
    End(index, *ended);
  }
}

void SweepRunner::End(size_t index, const absl::Status& status) {
  const std::string& name = plan_.runs[index].name;
  states_[index] = status.ok() ? State::kFinished : State::kFailed;
  if (status.ok()) {
    display_->Print("finished " + name);
  } else {
    failures_[name] = std::string(status.message());
    display_->Print(absl::StrCat("FAILED ", name, ": ", status.message()));
  }
  on_end();
}

void SweepRunner::StopAll() {
  display_->Print(absl::StrCat("stopping ", tasks_.size(), tasks_.size() == 1 ? " run" : " runs"));
  for (auto& [index, task] : tasks_) task.RequestStop();
  const absl::Time deadline = absl::Now() + options_.stop_timeout;
  for (auto& [index, task] : tasks_) (void)task.AwaitEnd(deadline - absl::Now());
  tasks_.clear();  // kills what still runs
  on_end();
}

void SweepRunner::Show() const {
  std::vector<std::pair<std::string, Progress>> running;
  for (const auto& [index, task] : tasks_) {
    absl::StatusOr<Progress> progress = ReadProgress(task.run().folder());
    running.emplace_back(task.run().name, progress.ok() ? *std::move(progress) : Progress());
  }
  display_->Show(running, Counts(), absl::Now());
}

SweepCounts SweepRunner::Counts() const {
  SweepCounts counts;
  for (const State state : states_) {
    counts.finished += state == State::kFinished;
    counts.running += state == State::kRunning;
    counts.failed += state == State::kFailed;
    counts.waiting += state == State::kWaiting;
  }
  return counts;
}

}  // namespace reckon
