#ifndef RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_
#define RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_

#include "absl/status/status.h"
#include "cli/estimate/model_size.h"
#include "cli/estimate/rank_stage.h"
#include "proto/config.pb.h"

namespace reckon {

// The memory of one GPU that plans count with.
inline constexpr double kGpuBytes = 80.0 * (1 << 30);

// Decides learner.sharding: AUTO by the memory of a rank: of a GPU of 80 GiB, or
// resources.learner.memory_gib, or what the actors leave of a machine with `machine_bytes` (0: not
// known, as on a cluster). `folder` is the run's. Leaves it where the model is not known (null):
// learners take it for REPLICATED.
void PlanSharding(const ModelSize* model, RunFolder folder, double machine_bytes,
                  RunConfig* config);

// Compares the memory plan of cli/estimate/ with what the config gives to the processes. A
// model that is not known (null) is not compared.

// FAILED_PRECONDITION, one line: resources.*.memory_gib of a role is below its plan, or, on this
// machine, the plans of all processes exceed the memory that it has. What other processes use now
// is not counted.
absl::Status CheckLocalMemory(const RunConfig& config, const ModelSize* model);

// Fills in what resources.{coordinator,actor,learner} leave open, cores and memory of a process on
// a cluster, and decides learner.sharding. FAILED_PRECONDITION: memory_gib is below the plan,
// model.device is CUDA and a role has no GPU, or the memory of a model that is not known was
// left open.
absl::Status PlanClusterResources(const ModelSize* model, RunFolder folder, RunConfig* config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_
