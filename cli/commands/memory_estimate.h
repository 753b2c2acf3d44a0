#ifndef RECKON_CLI_COMMANDS_MEMORY_ESTIMATE_H_
#define RECKON_CLI_COMMANDS_MEMORY_ESTIMATE_H_

#include <string>
#include <vector>

#include "common/model/config.h"
#include "proto/config.pb.h"

namespace reckon {

// Elements of all tensors of a model.
double ParameterCount(const ModelConfig& model);
// Elements of low-rank adapters on all its linear layers but the head.
double AdapterCount(const ModelConfig& model, double rank);

// Trained elements (weights or adapters) in the stage that has most of them. A checkpoint holds
// this many parameters and two moments for each.
double TrainedCount(const RunConfig& config, const ModelConfig& model);

struct MemoryLine {
  std::string what;
  double bytes = 0;
  std::string why;
  double kept = 0;  // of these bytes, those on the GPU that a learner keeps in an actor's turn
};

// The memory of one process, by purpose.
struct MemoryEstimate {
  std::vector<MemoryLine> lines;
  double total() const;
  double kept() const;
};

enum class Placement { kCpu, kGpu };

// One actor process. Actors on the same GPU add up, unless they take turns.
MemoryEstimate ActorMemory(const RunConfig& config, const ModelConfig& model, Placement placement);

// The program of `reckon serve`, which has one version.
MemoryEstimate ServerMemory(const RunConfig& config, const ModelConfig& model, Placement placement);

// Who reaches the run's folder and so writes checkpoints: all ranks, each its share; or the leader
// alone, everything, as in pods with volumes of their own.
enum class RunFolder { kOfAllRanks, kOfTheLeader };

// The learner rank that needs most memory, the leader, in the stage that needs most. The lines are
// the sizes of what is allocated, except for the activations, which are an estimate from what the
// operations of common/model keep for the backward pass. learner.sharding: AUTO counts as
// REPLICATED.
struct StageMemory {
  std::string stage;  // its name
  MemoryEstimate estimate;
};
StageMemory LearnerMemory(const RunConfig& config, const ModelConfig& model, Placement placement,
                          RunFolder folder);

// What a rank on a GPU has in the memory of its machine, beside the program.
StageMemory LearnerHostMemory(const RunConfig& config, const ModelConfig& model, RunFolder folder);

// With learner.sharding: AUTO, sets it and learner.activation_checkpointing to what a rank of
// `limit` bytes has room for, the fastest first: REPLICATED, the same with recomputed layers, FULL,
// FULL with recomputed layers. With very large micro-batches the second and third change places.
// Where nothing fits, what takes least.
void ChooseSharding(const ModelConfig& model, Placement placement, RunFolder folder, double limit,
                    RunConfig* config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_MEMORY_ESTIMATE_H_
