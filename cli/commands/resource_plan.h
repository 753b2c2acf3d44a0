#ifndef RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_
#define RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_

#include "absl/status/status.h"
#include "cli/estimate/memory_estimate.h"
#include "cli/estimate/model_size.h"
#include "cli/estimate/rank_stage.h"
#include "proto/config.pb.h"

namespace reckon {

// Compares the estimates of cli/estimate/ with what the config gives to the processes, and fills in
// what it leaves open. A model that is not known (null) is not compared.

// The memory of one GPU that plans count with.
inline constexpr double kGpuBytes = 80.0 * (1 << 30);

// Where a run is planned for.
enum class Site { kThisMachine, kSlurm, kKubernetes };

// Pods have volumes of their own.
RunFolder FolderAt(Site site);

// Where the processes of a role compute: on GPUs, if the role asks for them (resources.*.gpus), or
// on this machine if all roles share its GPUs.
Placement ActorPlacement(const RunConfig& config, Site site);
Placement LearnerPlacement(const RunConfig& config, Site site);

// Decides learner.sharding: AUTO by the memory of a rank: of a GPU of 80 GiB, without what actors
// take of it at the same time; or resources.learner.memory_gib, or what the actors leave of this
// machine. Of a model that is not known learners take it for REPLICATED.
void PlanSharding(const ModelSize* model, Site site, RunConfig* config);

// FAILED_PRECONDITION, one line: resources.*.memory_gib of a role is below its plan, or, on this
// machine, the plans of all processes exceed the memory that it has. What other processes use now
// is not counted.
absl::Status CheckLocalMemory(const RunConfig& config, const ModelSize* model);

// Fills in what resources.{coordinator,actor,learner} leave open, cores and memory of a process on
// a cluster, and decides learner.sharding. FAILED_PRECONDITION: memory_gib is below the plan,
// model.device is CUDA and a role has no GPU, or the memory of a model that is not known was left
// open.
absl::Status PlanClusterResources(const ModelSize* model, Site site, RunConfig* config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_
