#include "learner/algorithm/expert_iteration/expert_iteration.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/registry.h"
#include "learner/data/checks.h"
#include "learner/data/selected_rollouts.h"

namespace reckon {

absl::Status ExpertIteration::Check(const ModelConfig& model, const RunData& data) const {
  RETURN_IF_ERROR(CheckStepRewards(settings_.reward(), data.train));
  return CheckSequencesFit(data, *data.training, settings_.sampling().max_new_tokens(),
                           "ei.sampling.max_new_tokens", stage().training());
}

std::vector<SampledRound> ExpertIteration::SampledRounds(const RunData& data) const {
  std::vector<SampledRound> rounds;
  for (int64_t round = 0; round < this->rounds(); ++round) {
    rounds.push_back(
        MakeSampledRound(config_, data, stage().name(), /*first=*/0, settings_.prompts(), round));
  }
  return rounds;
}

absl::Status ExpertIteration::Sample(LeaderContext& leader, const SampledRound& round) const {
  std::optional<PromptFormatter> few_shot;
  if (leader.run.cursor.round() == 0 && settings_.few_shot_first_round()) {
    ASSIGN_OR_RETURN(few_shot, MakeFormatter(leader.data, DataSettings::FEW_SHOT));
  }
  SelectionRule rule;
  rule.samples_per_prompt = settings_.samples_per_prompt();
  rule.sampling = settings_.sampling();
  rule.rewards = settings_.reward();
  rule.threshold = settings_.threshold();
  rule.dedup = settings_.dedup();
  rule.keep_truncated = settings_.keep_truncated();
  rule.formatter = few_shot.has_value() ? &*few_shot : &*leader.data.prompt;
  return SampleRound(leader, round, rule);
}

absl::StatusOr<std::vector<TrainingSequence>> ExpertIteration::Collect(
    LeaderContext& leader) const {
  const RunData& data = leader.data;
  std::vector<TrainingSequence> sequences;
  if (settings_.include_sft_data()) sequences = EarlierSolutions(config_, stage_index_, data);
  SeenSolutions seen(settings_.dedup());
  const std::vector<SampledRound> rounds = SampledRounds(data);
  for (int64_t round = 0; round <= leader.run.cursor.round(); ++round) {
    RETURN_IF_ERROR(ReadRound(leader, rounds[round], [&](size_t problem, const Rollout& rollout) {
      if (!seen.Insert(problem, rollout.completion())) return;
      sequences.push_back(Splice(data.training->Prompt(data.train[problem]), rollout));
    }));
  }
  if (!sequences.empty()) return sequences;
  return absl::FailedPreconditionError(
      absl::StrCat(RoundTitle(leader.run), ": no sample reached reward ", settings_.threshold(),
                   settings_.keep_truncated() ? "" : " and ended within ei.sampling.max_new_tokens",
                   ", so there is nothing to train on; put an sft stage before this one, raise ",
                   "ei.samples_per_prompt or lower ei.threshold"));
}

absl::Status ExpertIteration::Round(RankContext& ranks) {
  std::vector<TrainingSequence> sequences;
  if (ranks.leader != nullptr) {
    // In TRAIN the selection is complete, see run/resume.h.
    if (ranks.run.cursor.phase() == Cursor::BEGIN) {
      const SampledRound round = SampledRounds(ranks.leader->data)[ranks.run.cursor.round()];
      RETURN_IF_ERROR(Sample(*ranks.leader, round));
    }
    ASSIGN_OR_RETURN(sequences, Collect(*ranks.leader));
  }
  return FineTune(ranks, std::move(sequences), {.restart_from = settings_.restart_from()});
}

}  // namespace reckon
