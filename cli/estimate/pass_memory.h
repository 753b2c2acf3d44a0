#ifndef RECKON_CLI_ESTIMATE_PASS_MEMORY_H_
#define RECKON_CLI_ESTIMATE_PASS_MEMORY_H_

#include "cli/estimate/memory_estimate.h"
#include "cli/estimate/rank_stage.h"

namespace reckon {

// What passes of a rank take beside weights. A micro-batch has learner.micro_batch_tokens tokens or
// one sequence that is longer.

// A forward and backward pass of training.
MemoryLine TrainingPass(const RankStage& stage);
// A forward pass of a reward model in a stage that does not train; nothing where there is none.
MemoryLine ScoringPass(const RankStage& stage);
// The most that a rank holds of a model that ranks divide, beside its shards.
MemoryLine UnitsInUse(const RankStage& stage);

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_PASS_MEMORY_H_
