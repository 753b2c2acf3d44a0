#ifndef RECKON_CLI_SWEEP_RUN_TASK_H_
#define RECKON_CLI_SWEEP_RUN_TASK_H_

#include <signal.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/launcher/process.h"
#include "cli/sweep/run_command.h"
#include "cli/sweep/sweep_plan.h"

namespace reckon {

// One run of a sweep while it is being executed by a child process, `reckon train`. The child keeps
// its roles alive and writes to <sweep>/logs/<run>.log; the run folder's progress.json tells how
// far it is. Owned by the sweep's loop, one thread.
class RunTask {
 public:
  // NOT_FOUND: there is no program to start.
  static absl::StatusOr<RunTask> Start(const SweepRun& run, SweepEngine engine, bool resume,
                                       const std::string& logs);

  // OK once the run is finished, an error with its last words when it failed, nothing while it
  // runs.
  std::optional<absl::Status> Poll();
  // Asks the child to stop; it saves what the run has done.
  void RequestStop() { process_.Signal(SIGTERM); }
  // Whether the child ended within `timeout`.
  bool AwaitEnd(absl::Duration timeout) { return process_.Wait(timeout).has_value(); }

  const SweepRun& run() const { return *run_; }

 private:
  RunTask(const SweepRun& run, Process process, std::string log)
      : run_(&run), process_(std::move(process)), log_(std::move(log)) {}

  const SweepRun* run_;
  Process process_;
  std::string log_;
};

// What a child of a sweep said last, from its log: the error that `reckon` ended with, without the
// advice to resume that run, or the last line.
std::string LastWordsOfRun(const std::string& log_path);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_RUN_TASK_H_
