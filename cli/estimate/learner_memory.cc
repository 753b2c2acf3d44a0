#include "cli/estimate/learner_memory.h"

#include <algorithm>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "cli/estimate/host_memory.h"
#include "cli/estimate/pass_memory.h"

namespace reckon {
namespace {

// Bytes for each trained element: weight, gradient and AdamW's two moments, fp32 each. In an
// actor's turn the weight stays on the device (learner/context/shared_device.h).
constexpr double kTrained = 16, kParameter = 4;
// From this many tokens of a micro-batch on, FULL takes no longer than layers that are computed
// twice. For each parameter FULL moves 8 bytes while it computes, which take 320 ps over 25 GB/s,
// the slowest links between GPUs; 8 operations a token in place of 6 take 328 ps at 400 TFLOP/s.
// With fewer tokens that depends on the links, which no plan knows, and computing twice costs a
// third more everywhere.
constexpr uint32_t kTokensThatHideGathers = 16384;

// Measured of runs of a model of 100 KB.
MemoryLine LearnerProgram() {
  return {"program", 150.0 * (1 << 20), "LibTorch, gRPC and their buffers"};
}

std::string Shared(const RankStage& s, std::string why) {
  return s.divided() ? absl::StrCat(why, ", divided by ", s.shard_ranks, " ranks") : why;
}

MemoryLine Kept(std::string what, double bytes, std::string why) {
  return {.what = std::move(what), .bytes = bytes, .why = std::move(why), .kept = bytes};
}

MemoryLine Trained(std::string what, double elements, double copies, std::string why) {
  return {.what = std::move(what),
          .bytes = kTrained * elements + copies,
          .why = std::move(why),
          .kept = kParameter * elements + copies};
}

// The policy, and what matrix products read of it.
void AddPolicy(const RankStage& s, MemoryEstimate* estimate) {
  const double all = ParameterCount(s.shape), backward = s.TrainedCopies(all) - s.compute * all;
  if (!s.adapted()) {
    estimate->lines.push_back(Trained("weights, gradient, AdamW", all / s.ranks(), 0,
                                      Shared(s, "fp32, 16 bytes a parameter")));
    if (s.divided()) return;
    estimate->lines.push_back(Kept("compute copies", ForwardBytes(s.config, s.shape) + backward,
                                   "as matrix products read the weights"));
    return;
  }
  // The head is there as a tensor and packed, tied or not.
  const double frozen = s.divided() ? s.compute * all / s.ranks()
                                    : s.compute * (all + TableCount(s.shape)) + backward;
  estimate->lines.push_back(Kept("frozen weights", frozen,
                                 Shared(s, "under the adapters, as matrix products read them")));
  estimate->lines.push_back(
      Trained("adapters, gradient, AdamW", s.trained.adapters, s.TrainedCopies(s.trained.adapters),
              absl::StrCat("fp32, lora_rank ", s.stage.training().lora_rank())));
}

// With adapters it is the same weights without them.
void AddReference(const RankStage& s, MemoryEstimate* estimate) {
  const auto* kl = s.info.Part<PpoSettings::Kl>();
  if (kl == nullptr || kl->coef() == 0 || s.adapted()) return;
  // Of shards a rank keeps the layer that it gathered last.
  const double bytes = s.divided()
                           ? s.compute * (ParameterCount(s.shape) / s.ranks() + LayerCount(s.shape))
                           : ForwardBytes(s.config, s.shape);
  estimate->lines.push_back(Kept("reference", bytes, Shared(s, "kl.coef above 0")));
}

// The critic, or the head of a reward model. Of shards a rank keeps the layer that it gathered
// last.
void AddHead(const RankStage& s, MemoryEstimate* estimate) {
  if (s.trained.head == 0) return;
  if (s.info.traits().trains() == StageKind::REWARD_MODEL) {
    estimate->lines.push_back(Trained("reward head", s.trained.head, 0, "fp32"));
    return;
  }
  const double own = s.trained.critic_layers;
  const double copied = s.divided() ? std::min(own, LayerCount(s.shape)) : own;
  estimate->lines.push_back(Trained(
      "critic", own / s.ranks() + s.trained.head, s.TrainedCopies(copied),
      own > 0
          ? Shared(s, absl::StrCat("critic.layers ", own / LayerCount(s.shape), " and its head"))
          : "its head"));
}

// Ranks divide it as they divide the policy, but where the leader scores alone: evaluations, and
// selections of stages that are not online.
void AddRewardModel(const RankStage& s, MemoryEstimate* estimate) {
  const double whole = ForwardBytes(s.config, s.shape);
  if (s.evaluates_with_model) {
    estimate->lines.push_back(
        Kept("reward model", whole, "eval.orm, whole on the leader while it evaluates"));
  } else if (s.rewards_with_model) {
    const bool all_score = s.info.traits().online();
    const bool shard = all_score && s.divided();
    estimate->lines.push_back(Kept("reward model",
                                   shard ? VersionBytes(s.config, s.shape) / s.ranks() : whole,
                                   all_score ? Shared(s, "orm") : "orm"));
  }
}

MemoryEstimate RankMemory(const RankStage& s) {
  MemoryEstimate estimate;
  double computes = 0;
  const auto add_pass = [&](const MemoryLine& line) {
    if (line.bytes > 0) estimate.lines.push_back(line);
    computes += line.bytes;
  };
  if (s.info.trains()) {
    AddPolicy(s, &estimate);
    AddReference(s, &estimate);
    AddHead(s, &estimate);
  }
  AddRewardModel(s, &estimate);
  add_pass(s.info.trains() ? TrainingPass(s) : ScoringPass(s));
  add_pass(UnitsInUse(s));
  if (s.on_cpu()) {
    AddHostMemory(s, computes, &estimate);
    estimate.lines.push_back(LearnerProgram());
  }
  return estimate;
}

// Of the stage that needs most.
StageMemory MostOf(const RunConfig& config, absl::FunctionRef<MemoryEstimate(int)> of_stage) {
  StageMemory most;
  for (int i = 0; i < config.stage_size(); ++i) {
    MemoryEstimate estimate = of_stage(i);
    if (i == 0 || estimate.total() > most.estimate.total()) {
      most = {.stage = config.stage(i).name(), .estimate = std::move(estimate)};
    }
  }
  return most;
}

}  // namespace

void ChooseSharding(const ModelSize& model, Placement placement, RunFolder folder, double limit,
                    RunConfig* config) {
  LearnerSettings& learner = *config->mutable_learner();
  if (learner.sharding() != LearnerSettings::AUTO) return;
  struct Choice {
    LearnerSettings::Sharding sharding;
    bool recompute;
  };
  Choice second = {LearnerSettings::REPLICATED, true}, third = {LearnerSettings::FULL, false};
  if (learner.micro_batch_tokens() >= kTokensThatHideGathers) std::swap(second, third);
  const bool recompute = learner.activation_checkpointing();  // as the config says
  for (const Choice& choice : {Choice{LearnerSettings::REPLICATED, false}, second, third,
                               Choice{LearnerSettings::FULL, true}}) {
    if (choice.sharding == LearnerSettings::FULL && config->resources().learner_ranks() == 1) {
      continue;
    }
    learner.set_sharding(choice.sharding);
    learner.set_activation_checkpointing(recompute || choice.recompute);
    if (LearnerMemory(*config, model, placement, folder).estimate.total() <= limit) return;
  }
}

StageMemory LearnerMemory(const RunConfig& config, const ModelSize& model, Placement placement,
                          RunFolder folder) {
  return MostOf(config, [&](int stage) {
    return RankMemory(RankStage(config, stage, model, placement, folder));
  });
}

StageMemory LearnerHostMemory(const RunConfig& config, const ModelSize& model, RunFolder folder) {
  return MostOf(config, [&](int stage) {
    MemoryEstimate estimate;
    AddHostMemory(RankStage(config, stage, model, Placement::kGpu, folder), /*computes=*/0,
                  &estimate);
    return estimate;
  });
}

}  // namespace reckon
