#include "actor/reward/reward.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/task/answer.h"

namespace reckon {

absl::StatusOr<RewardValue> Verifier::Judge(const RewardSpec& spec, const WorkItem& item,
                                            const Rollout& rollout) const {
  if (spec.kind() != RewardSpec::EXACT_MATCH_STRICT &&
      spec.kind() != RewardSpec::EXACT_MATCH_FLEXIBLE) {
    return absl::UnimplementedError(
        absl::StrCat("this actor does not know kind ", static_cast<int>(spec.kind())));
  }
  return JudgeAnswer(spec, rollout.completion(), rollout.finish() == FINISH_LENGTH,
                     item.reference().answer());
}

absl::Status AddRewards(const Rewarder& rewarder, const PlanSpec& plan, const WorkItem& item,
                        Rollout* rollout) {
  double sum = 0;
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
    sum += spec.weight() * value->value();
    *rollout->add_rewards() = *std::move(value);
  }
  rollout->set_reward(sum);
  return absl::OkStatus();
}

}  // namespace reckon
