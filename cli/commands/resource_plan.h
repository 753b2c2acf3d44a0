#ifndef RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_
#define RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_

#include "absl/status/status.h"
#include "common/model/config.h"
#include "proto/config.pb.h"

namespace reckon {

// Compares the memory plan of memory_estimate.h with what the config gives to the processes. A
// model whose shape is not known (null) is not compared.

// FAILED_PRECONDITION, one line: resources.*.memory_gib of a role is below its plan, or, on this
// machine, the plans of all processes exceed the memory that it has. What other processes use now
// is not counted.
absl::Status CheckLocalMemory(const RunConfig& config, const ModelConfig* shape);

// Fills in what resources.{coordinator,actor,learner} leave open: cores and memory of a process on
// a cluster. FAILED_PRECONDITION: memory_gib is below the plan, model.device is CUDA and a role has
// no GPU, or the memory of a model whose shape is not known was left open.
absl::Status PlanClusterResources(const ModelConfig* shape, RunConfig* config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_RESOURCE_PLAN_H_
