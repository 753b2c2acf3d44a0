#ifndef RECKON_CLI_SWEEP_RUN_TASK_H_
#define RECKON_CLI_SWEEP_RUN_TASK_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/launcher/process.h"
#include "cli/sweep/run_command.h"
#include "cli/sweep/sweep_plan.h"

namespace reckon {

// One run of a sweep while it is being executed.
//
//   on this machine   a child process, `reckon train`, keeps its roles alive until its end
//   on a cluster      a child, `reckon launch`, submits the run and ends; then the run folder's
//                     progress.json says whether it is finished, and the scheduler whether it still
//                     has it. A run that it has already is followed without a child.
//
// Children write to <sweep>/logs/<run>.log. Owned by the sweep's loop, one thread.
class RunTask {
 public:
  struct Options {
    SweepEngine engine = SweepEngine::kLocal;
    std::string logs;  // folder of the children's logs
    // Of a run on a cluster: how often its folder is read, and the scheduler asked.
    absl::Duration look_every = absl::Seconds(2);
    absl::Duration ask_every = absl::Seconds(15);
  };

  // NOT_FOUND: there is no program to start. UNAVAILABLE: the scheduler does not answer.
  static absl::StatusOr<RunTask> Start(const SweepRun& run, bool resume, const Options& options);

  // OK once the run is finished, an error with its last words when it failed, nothing while it
  // runs.
  std::optional<absl::Status> Poll();
  // Asks the child to stop; it saves what the run has done. A job on a cluster stays.
  void RequestStop();
  // Whether the child ended within `timeout`.
  bool AwaitEnd(absl::Duration timeout);

  const SweepRun& run() const { return *run_; }

 private:
  RunTask(const SweepRun& run, const Options& options)
      : run_(&run), options_(options), log_(options.logs + "/" + run.name + ".log") {}

  std::optional<absl::Status> PollJob();

  const SweepRun* run_;
  Options options_;
  std::optional<Process> process_;  // none: the run is a job that is followed
  std::string log_;
  absl::Time next_look_ = absl::InfinitePast();  // at the run folder
  absl::Time next_ask_ = absl::InfinitePast();   // of the scheduler
};

// What a child of a sweep said last, from its log: the error that `reckon` ended with, without the
// advice to resume that run, or the last line.
std::string LastWordsOfRun(const std::string& log_path);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_RUN_TASK_H_
