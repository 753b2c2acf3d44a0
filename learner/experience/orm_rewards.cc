#include "learner/experience/orm_rewards.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/stage_info.h"
#include "common/model/device_memory.h"
#include "common/task/prompt/stop_string.h"
#include "learner/context/shared_device.h"
#include "learner/experience/solution.h"
#include "learner/parallel/shared_weights.h"
#include "learner/parallel/single.h"

namespace reckon {
namespace {

std::vector<Solution> SolutionsOf(const std::vector<Rollout>& rollouts) {
  std::vector<Solution> solutions;
  for (const Rollout& rollout : rollouts) solutions.push_back(SolutionOf(rollout));
  return solutions;
}

void AddDenseReward(double weight, const std::vector<size_t>& ends,
                    const std::vector<float>& probabilities,
                    const std::vector<int64_t>& sampled_indices, Experience* experience) {
  double before = 0;
  for (size_t end : ends) {
    const double rise = probabilities[end] - before;
    before = probabilities[end];
    const int64_t index = sampled_indices[end - 1];
    if (index < 0) continue;  // a step that was forced earns nothing
    experience->step_rewards[index] += static_cast<float>(weight * rise);
    experience->reward += weight * rise;
  }
}

bool HasRewardModel(const RunState& run, const std::string& name, bool sharded) {
  return run.reward_model != nullptr && run.reward_model_name == name &&
         run.reward_model->sharded() == sharded;
}

absl::StatusOr<RewardModel*> KeepRewardModel(RunState& run, const std::string& name,
                                             const RewardModel::Files& files,
                                             RankGroup* shard_group) {
  CheckHasDevice(run);
  ASSIGN_OR_RETURN(run.reward_model,
                   RewardModel::Create(files, RewardModelFolder(run, name), run.base.manifest,
                                       run.model->compute(), run.model->backend(), shard_group));
  run.reward_model_name = name;
  return run.reward_model.get();
}

// For the metrics and readers of this reward alone.
void AddValue(const RewardSpec& reward, double score, Rollout* rollout) {
  RewardValue* value = rollout->add_rewards();
  value->set_name(RewardName(reward));
  value->set_value(score);
}

}  // namespace

RewardList ActorRewards(const RewardList& rewards) {
  RewardList out;
  for (const RewardSpec& reward : rewards) {
    if (reward.kind() != RewardSpec::ORM) *out.Add() = reward;
  }
  if (out.empty()) out.Add()->set_weight(rewards.empty() ? 1 : 0);
  return out;
}

std::string RewardModelFolder(const RunState& run, const std::string& name) {
  for (const Stage& stage : run.config.stage()) {
    if (stage.name() == name) return absl::StrCat(run.run_dir, "/orm/", name);
  }
  return name;
}

absl::StatusOr<RewardModel*> OpenRewardModel(LeaderContext& leader, const std::string& name) {
  RunState& run = leader.run;
  RETURN_IF_ERROR(TakeDevice(run));
  if (HasRewardModel(run, name, /*sharded=*/false)) return run.reward_model.get();
  run.reward_model.reset();  // before the other one is loaded
  ASSIGN_OR_RETURN(const RewardModel::Files files, RewardModel::Read(RewardModelFolder(run, name)));
  return KeepRewardModel(run, name, files, /*shard_group=*/nullptr);
}

absl::StatusOr<RewardModel*> AllRanksOpenRewardModel(RankContext& ranks, const std::string& name) {
  RunState& run = ranks.run;
  const bool sharded = run.model->sharded(), have = HasRewardModel(run, name, sharded);
  if (!have) run.reward_model.reset();
  float without = have ? 0 : 1;
  RETURN_IF_ERROR(ranks.parallel.AllReduceSum(absl::MakeSpan(&without, 1)));
  if (without == 0) return run.reward_model.get();
  RewardModel::Files files;
  if (ranks.leader != nullptr) {
    ASSIGN_OR_RETURN(files, RewardModel::Read(RewardModelFolder(run, name)));
  }
  RETURN_IF_ERROR(ShareWeights(ranks.parallel, {}, &files.weights));
  RETURN_IF_ERROR(ranks.parallel.Broadcast(&files.head));
  if (have) return run.reward_model.get();
  return KeepRewardModel(run, name, files, run.model->memory().shard_group);
}

void DropUnusedRewardModel(RunState& run) {
  if (run.reward_model == nullptr) return;
  const StageInfo stage(run.stage());
  const bool sharded = stage.traits().online() && run.model->sharded();
  for (const std::string& name : stage.reward_models()) {
    if (HasRewardModel(run, name, sharded)) return;
  }
  run.reward_model.reset();
  // It may be an actor's turn, for which LeaveDevice has returned what was free before.
  ReturnFreedMemory(run.model->backend());
}

absl::StatusOr<std::vector<double>> ScoreRollouts(LeaderContext& leader, RewardModel* model,
                                                  std::vector<Rollout> rollouts) {
  const std::vector<uint32_t> ends = leader.data.training->StopTokenIds();
  for (Rollout& rollout : rollouts) EndAtStopString(*leader.data.tokenizer, ends, &rollout);
  RETURN_IF_ERROR(TakeDevice(leader.run));
  ASSIGN_OR_RETURN(const TokenValues probabilities,
                   model->Score(*MakeSingle(), SolutionsOf(rollouts),
                                leader.run.config.learner().micro_batch_tokens()));
  std::vector<double> scores;
  for (const std::vector<float>& p : probabilities) scores.push_back(p.back());
  return scores;
}

absl::Status AddOrmRewards(LeaderContext& leader, const RewardList& rewards,
                           std::vector<Rollout>* rollouts) {
  for (const RewardSpec& reward : rewards) {
    if (reward.kind() != RewardSpec::ORM) continue;
    ASSIGN_OR_RETURN(RewardModel * model, OpenRewardModel(leader, reward.orm()));
    ASSIGN_OR_RETURN(const std::vector<double> scores, ScoreRollouts(leader, model, *rollouts));
    for (size_t i = 0; i < rollouts->size(); ++i) {
      Rollout& rollout = (*rollouts)[i];
      rollout.set_reward(rollout.reward() + reward.weight() * scores[i]);
      AddValue(reward, scores[i], &rollout);
    }
  }
  return absl::OkStatus();
}

absl::Status AllRanksAddOrmRewards(RankContext& ranks, const RewardList& rewards,
                                   std::vector<Rollout>* rollouts,
                                   std::vector<Experience>* experiences) {
  for (const RewardSpec& reward : rewards) {
    if (reward.kind() != RewardSpec::ORM) continue;
    CheckHasDevice(ranks.run);
    ASSIGN_OR_RETURN(RewardModel * model, AllRanksOpenRewardModel(ranks, reward.orm()));
    const std::vector<Solution> solutions = SolutionsOf(*rollouts);
    ASSIGN_OR_RETURN(
        const TokenValues probabilities,
        model->Score(ranks.parallel, solutions, ranks.run.config.learner().micro_batch_tokens()));
    for (size_t i = 0; i < rollouts->size(); ++i) {
      AddValue(reward, probabilities[i].back(), &(*rollouts)[i]);
      Experience& experience = (*experiences)[i];
      if (reward.dense()) {
        AddDenseReward(reward.weight(),
                       model->steps().EndsOf(solutions[i].tokens, solutions[i].prompt),
                       probabilities[i], SampledIndices((*rollouts)[i]), &experience);
      } else {
        experience.reward += reward.weight() * probabilities[i].back();
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
