#ifndef RECKON_CLI_MEMORY_PLAN_H_
#define RECKON_CLI_MEMORY_PLAN_H_

#include <string>
#include <vector>

#include "common/weights/model_config.h"
#include "proto/config.pb.h"

namespace reckon {

// Elements of all tensors of a model with this config.json.
double ParameterCount(const ModelConfig& shape);
// Of low-rank adapters on all its linear layers but the head.
double AdapterCount(const ModelConfig& shape, double rank);

// What a checkpoint holds, in the stage where that is most: all weights or adapters.
double TrainedCount(const RunConfig& config, const ModelConfig& shape);

struct MemoryLine {
  std::string what;
  double bytes = 0;
  std::string why;
};

// What one process holds.
struct MemoryPlan {
  std::vector<MemoryLine> lines;
  double total() const;
};

enum class Placement { kCpu, kGpu };

// Of one actor process. On a GPU as many share one as are put there.
MemoryPlan ActorMemory(const RunConfig& config, const ModelConfig& shape, Placement placement);

// Of one learner rank in the stage that takes most: ranks hold a whole model each, nothing is
// sharded. Activations are an estimate from what the operations of common/model keep for the
// backward pass; the rest are the sizes of what is allocated.
struct StageMemory {
  std::string stage;
  MemoryPlan plan;
};
StageMemory LearnerMemory(const RunConfig& config, const ModelConfig& shape, Placement placement);

}  // namespace reckon

#endif  // RECKON_CLI_MEMORY_PLAN_H_
