#include "learner/algorithm/expert_iteration.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "learner/algorithm/duplicates.h"
#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/selection.h"
#include "learner/algorithm/splice.h"

namespace reckon {
namespace {

SelectionRule RuleOf(const LearnerContext& context, const EiSettings& settings) {
  SelectionRule rule;
  rule.samples_per_prompt = settings.samples_per_prompt();
  rule.sampling = settings.sampling();
  rule.rewards = settings.reward();
  rule.threshold = settings.threshold();
  rule.dedup = settings.dedup();
  const bool few_shot = context.cursor.round == 0 && settings.few_shot_first_round();
  rule.formatter = few_shot ? &*context.data->few_shot : &*context.data->prompt;
  return rule;
}

// Sequences of the selections of rounds 0 to the cursor's, duplicates between rounds dropped, in
// the order of the rounds.
absl::StatusOr<std::vector<TrainingSequence>> UnionOfSelections(LearnerContext& context,
                                                                const EiSettings& settings) {
  const RunData& data = *context.data;
  const SpliceOptions options = {data.tokenizer.get(), data.training->StopTokenIds()};
  Duplicates duplicates(settings.dedup());
  std::vector<TrainingSequence> sequences;
  std::vector<SampledRound> rounds = RoundsOf(context, context.stage());
  for (int64_t round = 0; round <= context.cursor.round; ++round) {
    RETURN_IF_ERROR(
        ReadRound(context, rounds[round], [&](const Problem& problem, const Rollout& rollout) {
          const uint64_t index = &problem - data.train.data();
          if (!duplicates.IsNew(index, rollout.completion())) return;
          sequences.push_back(Splice(data.training->Prompt(problem), rollout, options));
        }));
  }
  return sequences;
}

}  // namespace

absl::Status ExpertIteration::Round(LearnerContext& context) {
  std::vector<TrainingSequence> sequences;
  if (context.parallel->rank() == 0) {
    // In the middle of the fine-tuning the selection is complete.
    if (context.cursor.phase == Cursor::kBegin) {
      RETURN_IF_ERROR(SampleRound(context, RoundsOf(context, context.stage())[context.cursor.round],
                                  RuleOf(context, settings_)));
    }
    if (settings_.include_sft_data())
      sequences = EarlierSolutions(context.config, context.cursor.stage, *context.data);
    ASSIGN_OR_RETURN(std::vector<TrainingSequence> selected, UnionOfSelections(context, settings_));
    sequences.insert(sequences.end(), std::make_move_iterator(selected.begin()),
                     std::make_move_iterator(selected.end()));
    if (sequences.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(RoundTitle(context), ": no sample reached reward ", settings_.threshold(),
                       " and there is nothing to train on; put an sft stage in front, raise "
                       "ei.samples_per_prompt or lower ei.threshold"));
    }
  }
  return FineTune(context, settings_.restart_from(), std::move(sequences));
}

}  // namespace reckon
