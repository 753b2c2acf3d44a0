#include "cli/estimate/disk_estimate.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/config/stage_info.h"
#include "common/model/init/init_model.h"

namespace reckon {
namespace {

// A stored rollout, i.e. tokens, log-probabilities and text, is 1 to 4 KB.
constexpr double kRolloutBytes = 3072;
constexpr double kCheckpointBytes = 12;  // per trained element: fp32 weight and two moments

// A save writes the next checkpoint before it deletes the oldest.
DiskLine Checkpoints(const RunConfig& config, const ModelConfig& shape) {
  double trained = 0;
  for (const Stage& stage : config.stage()) {
    trained = std::max(trained, TrainedBy(stage, shape).all());
  }
  return {"checkpoints", (config.keep_last() + 1.0) * kCheckpointBytes * trained,
          absl::StrCat("keep_last ", config.keep_last(),
                       " and the one that is written, 12 B per trained parameter")};
}

// Versions in what the run computes in, no more than it makes (learner/run/versions.h): the newest,
// the one that is written, the one that the stage began with, and those that were evaluated and are
// kept. With each its adapters, in fp32.
DiskLine Versions(const RunConfig& config, const ModelConfig& shape) {
  double made = 0, evaluated = 0, adapters = 0;
  for (const Stage& stage : config.stage()) {
    const StageInfo info(stage);
    if (info.traits().trains() != StageKind::POLICY) continue;
    made += info.Rounds();
    adapters = std::max(adapters, TrainedBy(stage, shape).adapters);
    evaluated += std::ceil(double(info.Rounds()) / info.Count("eval_every").value_or(1));
  }
  const double best = config.keep_evaluated() == RunConfig::ALL    ? evaluated
                      : config.keep_evaluated() == RunConfig::BEST ? 1
                                                                   : 0;
  return {"weights",
          std::min(made, config.keep_last() + 2.0 + best) *
              (VersionBytes(config, shape) + 4 * adapters),
          "model folders: keep_last, keep_evaluated"};
}

// The one that an init stage makes, or an adapter merged into its base, over which further adapters
// are trained.
DiskLine BaseModel(const RunConfig& config, const ModelSize& model) {
  bool adapts = false;
  for (const Stage& stage : config.stage()) adapts |= stage.training().lora_rank() > 0;
  const bool written = HasInit(config) || (adapts && !config.model().base().empty());
  return {"base model", written ? static_cast<double>(model.weight_bytes) : 0,
          HasInit(config) ? "of the init stage" : "weights/merged_base"};
}

DiskLine RewardModels(const RunConfig& config, const ModelConfig& shape) {
  double stages = 0;
  for (const Stage& stage : config.stage()) {
    stages += StageInfo(stage).traits().trains() == StageKind::REWARD_MODEL ? 1 : 0;
  }
  return {"reward models", stages * VersionBytes(config, shape), "orm/"};
}

}  // namespace

std::vector<DiskLine> DiskEstimate(const RunConfig& config, const ModelSize& model,
                                   double rollouts) {
  std::vector<DiskLine> lines = {{"store", rollouts * kRolloutBytes, "3 KB per sample"}};
  for (const DiskLine& line : {Checkpoints(config, model.shape), Versions(config, model.shape),
                               BaseModel(config, model), RewardModels(config, model.shape)}) {
    if (line.bytes > 0) lines.push_back(line);
  }
  return lines;
}

}  // namespace reckon
