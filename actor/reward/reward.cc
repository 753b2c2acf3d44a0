#include "actor/reward/reward.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/task/answer.h"
#include "common/task/steps.h"

namespace reckon {

namespace {

RewardValue JudgeSteps(const WorkItem& item, const Rollout& rollout) {
  RewardValue value;
  const std::vector<Step> steps = SplitSteps(rollout.completion());
  const std::vector<double> matched = MatchSteps(steps, SplitSteps(item.reference().solution()));
  for (size_t i = 0; i < steps.size(); ++i) {
    StepValue* step = value.add_steps();
    step->set_end(static_cast<uint32_t>(steps[i].end));
    step->set_value(matched[i]);
    value.set_value(value.value() + matched[i]);
  }
  return value;
}

// Bytes of the completion up to the end of each of its tokens.
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

// A token may end a step and begin the next; bytes that were repaired or cut leave the last token.
void FillTokens(const std::vector<uint32_t>& ends, RewardValue* value) {
  for (StepValue& step : *value->mutable_steps()) {
    auto reached = std::lower_bound(ends.begin(), ends.end(), step.end());
    if (reached == ends.end() && !ends.empty()) --reached;
    step.set_token(static_cast<uint32_t>(reached - ends.begin()));
  }
}

}  // namespace

absl::StatusOr<RewardValue> Verifier::Judge(const RewardSpec& spec, const WorkItem& item,
                                            const Rollout& rollout) const {
  if (spec.kind() == RewardSpec::STEP_MATCH) return JudgeSteps(item, rollout);
  if (spec.kind() != RewardSpec::EXACT_MATCH_STRICT &&
      spec.kind() != RewardSpec::EXACT_MATCH_FLEXIBLE) {
    return absl::UnimplementedError(
        absl::StrCat("this actor does not know kind ", static_cast<int>(spec.kind())));
  }
  return JudgeAnswer(spec, rollout.completion(), rollout.finish() == FINISH_LENGTH,
                     item.reference().answer());
}

absl::Status AddRewards(const Rewarder& rewarder, const PlanSpec& plan, const WorkItem& item,
                        const Tokenizer& tokenizer, Rollout* rollout) {
  double sum = 0;
  const std::vector<uint32_t> ends = TokenEnds(*rollout, tokenizer);
  for (const RewardSpec& spec : plan.rewards()) {
    absl::StatusOr<RewardValue> value = rewarder.Judge(spec, item, *rollout);
    if (value.ok() && !std::isfinite(value->value() * spec.weight())) {
      value = absl::InvalidArgumentError("value or weight is not finite");
    }
    if (!value.ok()) {
      return absl::Status(value.status().code(),
                          absl::StrCat("reward '", spec.name(), "': ", value.status().message()));
    }
    value->set_name(spec.name());
    FillTokens(ends, &*value);
    sum += spec.weight() * value->value();
    *rollout->add_rewards() = *std::move(value);
  }
  rollout->set_reward(sum);
  return absl::OkStatus();
}

}  // namespace reckon
