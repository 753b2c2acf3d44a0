#include "cli/estimate/rank_stage.h"

#include <string>

#include "common/config/fields.h"

namespace reckon {
namespace {

uint32_t ShardRanks(const RunConfig& config) {
  switch (config.learner().sharding()) {
    case LearnerSettings::FULL:
      return config.resources().learner_ranks();
    case LearnerSettings::HYBRID:
      return config.learner().shard_ranks();
    default:
      return 0;
  }
}

bool EvaluatesWithModel(const RunConfig& config, int index) {
  const std::string& name = config.eval().orm();
  if (name.empty() || config.eval().samples() == 0) return false;
  if (IsFolder(name)) return true;
  for (int i = 0; i <= index; ++i) {
    if (config.stage(i).name() == name) return true;
  }
  return false;
}

}  // namespace

RankStage::RankStage(const RunConfig& config, int index, const ModelSize& model,
                     Placement placement, RunFolder folder)
    : config(config),
      index(index),
      stage(config.stage(index)),
      info(stage),
      model(model),
      shape(model.shape),
      placement(placement),
      folder(folder),
      compute(ComputeBytes(config)),
      trained(TrainedBy(stage, model.shape)),
      shard_ranks(ShardRanks(config)),
      rewards_with_model(!info.reward_models().empty()),
      evaluates_with_model(EvaluatesWithModel(config, index)) {}

}  // namespace reckon
