#ifndef RECKON_CLI_ESTIMATE_RANK_STAGE_H_
#define RECKON_CLI_ESTIMATE_RANK_STAGE_H_

#include "cli/estimate/memory_estimate.h"
#include "cli/estimate/model_size.h"
#include "common/config/stage_info.h"
#include "proto/config.pb.h"

namespace reckon {

// Who reaches the run's folder and so writes checkpoints: all ranks, each its share; or the leader
// alone, everything, as in pods with volumes of their own.
enum class RunFolder { kOfAllRanks, kOfTheLeader };

// A stage of the config as a learner rank runs it: what the estimates of its memory have in common.
// Refers to what it is made of.
struct RankStage {
  RankStage(const RunConfig& config, int index, const ModelSize& model, Placement placement,
            RunFolder folder);

  bool adapted() const { return trained.adapters > 0; }
  bool divided() const { return shard_ranks > 0; }
  double ranks() const { return divided() ? shard_ranks : 1; }
  bool on_cpu() const { return placement == Placement::kCpu; }
  // Bytes of the copies of `elements` trained weights that matrix products read. The CPU kernels
  // pack a second copy for the backward pass.
  double TrainedCopies(double elements) const { return elements * compute * (on_cpu() ? 2 : 1); }

  const RunConfig& config;
  const int index;
  const Stage& stage;
  const StageInfo info;
  const ModelSize& model;
  const ModelConfig& shape;
  const Placement placement;
  const RunFolder folder;
  const double compute;  // ComputeBytes
  const TrainedElements trained;
  const uint32_t shard_ranks;  // how many ranks divide a model; 0: each holds all of it
  // Whether a reward model is loaded: one of the rewards, or that of the evaluations (eval.orm), if
  // it is of this run once it is trained.
  const bool rewards_with_model, evaluates_with_model;
};

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_RANK_STAGE_H_
