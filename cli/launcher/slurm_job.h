#ifndef RECKON_CLI_LAUNCHER_SLURM_JOB_H_
#define RECKON_CLI_LAUNCHER_SLURM_JOB_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/launcher/rendered_file.h"
#include "proto/config.pb.h"

namespace reckon {

// A run's jobs at Slurm. Calls the programs sbatch and squeue; what they refuse is UNAVAILABLE with
// their own words. The id of the learner's job is kept in <run_dir>/slurm/job.

// FAILED_PRECONDITION: the learner's job of an earlier launch is in the queue or runs.
absl::Status CheckNoSlurmJob(const std::string& run_dir);

// Writes the scripts of RenderSlurm into <run_dir>/slurm, submits the learner's job and, with
// slurm.actors: ARRAY, the array of actors, which begins once that job has begun. Returns what the
// user should know, a line each.
absl::StatusOr<std::vector<std::string>> SubmitToSlurm(const RunConfig& config,
                                                       const std::string& run_dir,
                                                       const std::vector<RenderedFile>& scripts);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_SLURM_JOB_H_
