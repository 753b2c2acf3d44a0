#ifndef RECKON_CLI_SWEEP_SWEEP_RUNNER_H_
#define RECKON_CLI_SWEEP_SWEEP_RUNNER_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/sweep/run_command.h"
#include "cli/sweep/run_state.h"
#include "cli/sweep/run_task.h"
#include "cli/sweep/sweep_display.h"
#include "cli/sweep/sweep_plan.h"
#include "common/base/stop.h"

namespace reckon {

// Executes the runs of a plan, a number at a time. A run passes these states:
//
//   waiting ----> running ----> finished
//      |             `--------> failed: the others continue
//      |`-----> finished: its folder says so
//      `------> failed: the run that it begins from failed
//
// Runs start in the order of the plan, each as soon as the run that it begins from is finished. All
// in the thread that calls Run; it polls its children, as the supervisor does (supervisor.h).
class SweepRunner {
 public:
  struct Options {
    RunTask::Options task;
    size_t parallel = 1;
    absl::Duration poll = absl::Milliseconds(100);
    absl::Duration stop_timeout = absl::Seconds(60);  // from SIGTERM to SIGKILL
  };

  // The plan must outlive the runner.
  SweepRunner(const SweepPlan& plan, Options options, SweepDisplay* display)
      : plan_(plan), options_(std::move(options)), display_(display) {}

  // Called after every run that finished or failed, and when all were stopped.
  std::function<void()> on_end = [] {};

  // OK when every run has finished or failed. CANCELLED: stopped; the children have ended.
  // FAILED_PRECONDITION, before any child starts: folders hold runs of other configs, a line each.
  absl::Status Run(std::stop_token stop);

  // Last words of failed runs, by name.
  const std::map<std::string, std::string>& failures() const { return failures_; }

 private:
  enum class State { kWaiting, kRunning, kFinished, kFailed };

  absl::Status Inspect();
  // Starts runs while there is room for another.
  void StartRuns();
  void Start(size_t index);
  void PollRuns();
  void End(size_t index, const absl::Status& status);
  void StopAll();
  void Show() const;
  SweepCounts Counts() const;

  const SweepPlan& plan_;
  const Options options_;
  SweepDisplay* const display_;
  std::vector<State> states_;        // of the plan's runs
  std::vector<bool> has_folder_;     // its run is resumed
  std::map<size_t, RunTask> tasks_;  // by index of the run
  std::map<std::string, std::string> failures_;
};

// Checks every run's folder. FAILED_PRECONDITION has a line for each that holds another run.
absl::StatusOr<std::vector<RunState>> InspectRuns(const SweepPlan& plan);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SWEEP_RUNNER_H_
