#ifndef RECKON_CLI_ESTIMATE_LEARNER_MEMORY_H_
#define RECKON_CLI_ESTIMATE_LEARNER_MEMORY_H_

#include <string>

#include "cli/estimate/memory_estimate.h"
#include "cli/estimate/model_size.h"
#include "cli/estimate/rank_stage.h"
#include "proto/config.pb.h"

namespace reckon {

// The learner rank that needs most memory, the leader, in the stage that needs most. The lines are
// the sizes of what is allocated, except for the activations, which are an estimate from what the
// operations of common/model keep for the backward pass. learner.sharding: AUTO counts as
// REPLICATED.
struct StageMemory {
  std::string stage;  // its name
  MemoryEstimate estimate;
};
StageMemory LearnerMemory(const RunConfig& config, const ModelSize& model, Placement placement,
                          RunFolder folder);

// What a rank on a GPU has in the memory of its machine, beside the program.
StageMemory LearnerHostMemory(const RunConfig& config, const ModelSize& model, RunFolder folder);

// With learner.sharding: AUTO, sets it and learner.activation_checkpointing to what a rank of
// `limit` bytes has room for, the fastest first: REPLICATED, the same with recomputed layers, FULL,
// FULL with recomputed layers. With very large micro-batches the second and third change places.
// Where nothing fits, what takes least.
void ChooseSharding(const ModelSize& model, Placement placement, RunFolder folder, double limit,
                    RunConfig* config);

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_LEARNER_MEMORY_H_
