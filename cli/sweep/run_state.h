#ifndef RECKON_CLI_SWEEP_RUN_STATE_H_
#define RECKON_CLI_SWEEP_RUN_STATE_H_

#include "absl/status/statusor.h"
#include "cli/sweep/sweep_plan.h"

namespace reckon {

// What a run folder says of a run of a sweep.
enum class RunState {
  kNew,          // there is none
  kInterrupted,  // continue it with --resume
  kFinished,     // take its results as they are
};

// FAILED_PRECONDITION: the folder holds a run that was made with another config. Its message names
// the first field that differs, with both values: one sweep must not mix two settings.
absl::StatusOr<RunState> InspectRun(const SweepRun& run);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_RUN_STATE_H_
