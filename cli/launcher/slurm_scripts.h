#ifndef RECKON_CLI_LAUNCHER_SLURM_SCRIPTS_H_
#define RECKON_CLI_LAUNCHER_SLURM_SCRIPTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/launcher/rendered_file.h"
#include "proto/config.pb.h"

namespace reckon {

// The batch scripts of one run, which `reckon launch --slurm` puts into <run_dir>/slurm:
//
//   learner.sbatch   a job: the coordinator on its first node, the learner ranks as one step, and,
//                    with slurm.actors: ARRAY, the wish for `resources.actors` tasks of
//   actor.sbatch     an array of jobs, each one actor. With HETEROGENEOUS it is a step of the
//                    learner's job, on nodes of its own.
//
// Slurm decides where and when; the scripts ask it for what is missing. What happens to the job:
//
//   time limit, USR1     the ranks save a checkpoint and end, then the job requeues itself
//   preempted            the ranks save a checkpoint and end; Slurm requeues the job
//   a part fails         all others are ended, the job requeues itself and so releases its nodes;
//                        the fifth failure in a row without progress ends the run
//   exit status 78       (common/base/exit_status.h) the run ends; actors are cancelled
//   finished             actors are cancelled
//
// and to one task of the array:
//
//   time limit, USR1     it returns its leases and requeues itself
//   preempted            it returns its leases; Slurm requeues it
//   cancelled, failed    the learner's job submits that index again, if it is below the number in
//                        the file <run_dir>/slurm/actors
//   the learner's job moves to another node    it finds the address in <run_dir>/coordinator.addr
//   the learner's job has left the queue       it leaves, though an address may be there
//
// Each start of the learner's job has its own folder <run_dir>/logs/attempt_N. The folder of the
// run and that of the programs must be seen by all nodes.
struct SlurmPlace {
  std::string run_dir;
  std::string programs;      // folder of the programs
  std::string certificates;  // folder with one folder for each role; empty: plain text
};

// `config` has its resources filled in (cli/commands/resource_plan.h). INVALID_ARGUMENT: what
// cannot be written into a script, or ranks that cannot be spread evenly.
absl::StatusOr<std::vector<RenderedFile>> RenderSlurm(const RunConfig& config,
                                                      const SlurmPlace& place);

// The name of the array's jobs, when the learner's job has that id.
std::string SlurmActorsName(const RunConfig& config, const std::string& learner_job);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_SLURM_SCRIPTS_H_
