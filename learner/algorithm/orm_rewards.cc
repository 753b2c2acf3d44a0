#include "learner/algorithm/orm_rewards.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "learner/orm/solution.h"

namespace reckon {
namespace {

std::vector<Solution> SolutionsOf(const std::vector<Rollout>& rollouts) {
  std::vector<Solution> solutions;
  for (const Rollout& rollout : rollouts) solutions.push_back(SolutionOf(rollout));
  return solutions;
}

// Spreads a solution's probabilities over its sampled tokens that end steps.
void AddDense(double weight, const std::vector<size_t>& ends,
              const std::vector<float>& probabilities, const std::vector<int64_t>& sampled_at,
              Experience* e) {
  double before = 0;
  for (size_t end : ends) {
    const double rise = probabilities[end] - before;
    before = probabilities[end];
    const int64_t at = sampled_at[end - 1];
    if (at < 0) continue;  // a step that was given earns nothing
    e->step_rewards[at] += static_cast<float>(weight * rise);
    e->reward += weight * rise;
  }
}

}  // namespace

RewardList ActorRewards(const RewardList& rewards) {
  RewardList out;
  for (const RewardSettings& reward : rewards) {
    if (reward.kind() != RewardSettings::ORM) *out.Add() = reward;
  }
  if (out.empty()) out.Add()->set_weight(rewards.empty() ? 1 : 0);
  return out;
}

std::string RewardModelFolder(const LearnerContext& context, const std::string& name) {
  for (const Stage& stage : context.config.stage()) {
    if (stage.has_orm() && stage.name() == name) {
      return absl::StrCat(context.run_dir, "/orm/", name);
    }
  }
  return name;
}

absl::StatusOr<RewardModel*> OpenRewardModel(LearnerContext& context, const std::string& name) {
  if (context.reward_model == nullptr || context.reward_model_name != name) {
    context.reward_model.reset();  // one at a time in memory
    ASSIGN_OR_RETURN(context.reward_model,
                     RewardModel::Load(RewardModelFolder(context, name), context.base.manifest,
                                       context.model->compute(), context.model->backend()));
    context.reward_model_name = name;
  }
  return context.reward_model.get();
}

absl::Status AddOrmRewards(LearnerContext& context, const RewardList& rewards,
                           std::vector<Rollout>* rollouts) {
  for (const RewardSettings& reward : rewards) {
    if (reward.kind() != RewardSettings::ORM) continue;
    ASSIGN_OR_RETURN(RewardModel * model, OpenRewardModel(context, reward.orm()));
    ASSIGN_OR_RETURN(const TokenValues probabilities,
                     model->Score(*MakeSingle(), SolutionsOf(*rollouts),
                                  context.config.learner().micro_batch_tokens()));
    for (size_t i = 0; i < rollouts->size(); ++i) {
      Rollout& rollout = (*rollouts)[i];
      rollout.set_reward(rollout.reward() + reward.weight() * probabilities[i].back());
    }
  }
  return absl::OkStatus();
}

absl::Status AddOrmRewards(LearnerContext& context, const RewardList& rewards,
                           const std::vector<Rollout>& rollouts, std::vector<Experience>* step) {
  for (const RewardSettings& reward : rewards) {
    if (reward.kind() != RewardSettings::ORM) continue;
    ASSIGN_OR_RETURN(RewardModel * model, OpenRewardModel(context, reward.orm()));
    const std::vector<Solution> solutions = SolutionsOf(rollouts);
    ASSIGN_OR_RETURN(
        const TokenValues probabilities,
        model->Score(*context.parallel, solutions, context.config.learner().micro_batch_tokens()));
    for (size_t i = 0; i < rollouts.size(); ++i) {
      if (reward.dense()) {
        AddDense(reward.weight(), model->steps().EndsOf(solutions[i].tokens, solutions[i].prompt),
                 probabilities[i], SampledIndices(rollouts[i]), &(*step)[i]);
      } else {
        (*step)[i].reward += reward.weight() * probabilities[i].back();
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
