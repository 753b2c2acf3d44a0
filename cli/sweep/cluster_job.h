#ifndef RECKON_CLI_SWEEP_CLUSTER_JOB_H_
#define RECKON_CLI_SWEEP_CLUSTER_JOB_H_

#include "absl/status/statusor.h"
#include "cli/sweep/run_command.h"
#include "cli/sweep/sweep_plan.h"

namespace reckon {

// Whether a scheduler still has the run: its job at Slurm is queued or runs, or its learner's
// JobSet in Kubernetes has not ended. Calls squeue or kubectl; what they refuse is UNAVAILABLE with
// their own words. `engine` is not kLocal.
absl::StatusOr<bool> HasClusterJob(const SweepRun& run, SweepEngine engine);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_CLUSTER_JOB_H_
