#ifndef RECKON_CLI_ESTIMATE_HOST_MEMORY_H_
#define RECKON_CLI_ESTIMATE_HOST_MEMORY_H_

#include "cli/estimate/memory_estimate.h"
#include "cli/estimate/rank_stage.h"

namespace reckon {

// Adds what a rank has in the memory of its machine, wherever it computes: versions, AdamW's
// moments where a GPU has no others, and the copy that a checkpoint is written from. Of the leader,
// which has most. `computes`: of this memory what passes take, which is free while they do not run.
void AddHostMemory(const RankStage& stage, double computes, MemoryEstimate* estimate);

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_HOST_MEMORY_H_
