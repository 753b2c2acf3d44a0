#ifndef RECKON_CLI_ESTIMATE_ACTOR_MEMORY_H_
#define RECKON_CLI_ESTIMATE_ACTOR_MEMORY_H_

#include "cli/estimate/memory_estimate.h"
#include "cli/estimate/model_size.h"
#include "proto/config.pb.h"

namespace reckon {

// One actor process. Actors on the same GPU add up, unless they take turns.
MemoryEstimate ActorMemory(const RunConfig& config, const ModelSize& model, Placement placement);

// What an actor on a GPU has in the memory of its machine, beside the program.
double ActorHostBytes(const RunConfig& config, const ModelSize& model);

// The program of `reckon serve`, which has one version.
MemoryEstimate ServerMemory(const RunConfig& config, const ModelSize& model, Placement placement);

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_ACTOR_MEMORY_H_
