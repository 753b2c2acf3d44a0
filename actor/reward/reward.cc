#include "actor/reward/reward.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
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

// Returns for each token of the completion the number of bytes up to its end.
std::vector<uint32_t> TokenEnds(const Rollout& rollout, const Tokenizer& tokenizer) {
  std::vector<uint32_t> ends;
  size_t bytes = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    for (uint32_t token : span.tokens()) {
      bytes += tokenizer.TokenBytes(token).size();
      ends.push_back(static_cast<uint32_t>(bytes));
    }
  }
  return ends;
}

// Sets the token that ends each solution step: the first one that reaches the step's last byte. One
// token may end a step and begin the next. A step whose end no token reaches, because the text was
// repaired or cut, gets the last token.
void FillStepTokens(const std::vector<uint32_t>& ends, RewardValue* value) {
  for (StepValue& step : *value->mutable_steps()) {
    auto reached = std::lower_bound(ends.begin(), ends.end(), step.end());
    if (reached == ends.end() && !ends.empty()) --reached;
    step.set_token(static_cast<uint32_t>(reached - ends.begin()));
  }
}

}  // namespace

absl::StatusOr<RewardValue> Verifier::Score(const RewardSpec& spec, const WorkItem& item,
                                            const Rollout& rollout) const {
  // Without a default, so that the compiler names a kind that has no case.
  switch (spec.kind()) {
    case RewardSpec::EXACT_MATCH_STRICT:
    case RewardSpec::EXACT_MATCH_FLEXIBLE:
      return ScoreAnswer(spec, rollout.completion(), rollout.finish() == FINISH_LENGTH,
                         item.reference().answer());
    case RewardSpec::STEP_MATCH:
      return ScoreSteps(item, rollout);
    case RewardSpec::ORM:
      break;  // the learner's
  }
  return absl::UnimplementedError(absl::StrCat("this actor does not know reward kind ",
                                               static_cast<int>(spec.kind()), "; upgrade it"));
}

absl::Status ScoreRollout(const Rewarder& rewarder, const PlanSpec& plan, const WorkItem& item,
                          const Tokenizer& tokenizer, Rollout* rollout) {
  double sum = 0;
  const std::vector<uint32_t> ends = TokenEnds(*rollout, tokenizer);
  for (const RewardSpec& spec : plan.rewards()) {
    absl::StatusOr<RewardValue> value = rewarder.Score(spec, item, *rollout);
    if (value.ok() && !std::isfinite(value->value() * spec.weight())) {
      value = absl::InvalidArgumentError("its value times its weight is not finite");
    }
    if (!value.ok()) {
      return absl::Status(value.status().code(),
                          absl::StrCat("reward '", spec.name(), "': ", value.status().message()));
    }
    value->set_name(spec.name());
    FillStepTokens(ends, &*value);
    sum += spec.weight() * value->value();
    *rollout->add_rewards() = *std::move(value);
  }
  rollout->set_reward(sum);
  return absl::OkStatus();
}

}  // namespace reckon
