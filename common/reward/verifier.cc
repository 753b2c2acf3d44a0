#include "common/reward/verifier.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/task/reward/exact_match.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {
namespace {

RewardValue ScoreSteps(const WorkItem& item, const Rollout& rollout) {
  RewardValue value;
  const std::vector<SolutionStep> steps =
      SplitSteps(rollout.completion(), /*truncated=*/rollout.finish() == FINISH_LENGTH);
  const std::vector<double> matched = MatchSteps(steps, SplitSteps(item.reference().solution()));
  for (size_t i = 0; i < steps.size(); ++i) {
    StepValue* step = value.add_steps();
    step->set_end(static_cast<uint32_t>(steps[i].end));
    step->set_value(matched[i]);
    value.set_value(value.value() + matched[i]);
  }
  return value;
}

}  // namespace

absl::StatusOr<RewardValue> Verifier::Score(const RewardSpec& spec, const WorkItem& item,
                                            const Rollout& rollout) const {
  // Without a default, so that the compiler names a kind that has no case.
  switch (spec.kind()) {
    case RewardSpec::EXACT_MATCH_STRICT:
    case RewardSpec::EXACT_MATCH_FLEXIBLE:
    case RewardSpec::ANSWER_BOXED:
    case RewardSpec::ANSWER_TEXT:
      return ScoreAnswer(spec, rollout.completion(), rollout.finish() == FINISH_LENGTH,
                         item.reference().answer());
    case RewardSpec::STEP_MATCH:
      return ScoreSteps(item, rollout);
    case RewardSpec::ORM:  // the learner's
    case RewardSpec::PROCESS:
    case RewardSpec::SERVICE:
      break;
  }
  return absl::UnimplementedError(absl::StrCat("this actor does not know reward kind ",
                                               static_cast<int>(spec.kind()), "; upgrade it"));
}

}  // namespace reckon
