#include "common/config/resolve.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/config/answers.h"
#include "common/config/fields.h"
#include "common/config/stage_info.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace reckon {
namespace {

// A list of rewards must not be empty.
void ResolveRewards(const std::string& kind, Stage* stage) {
  const auto* field = Stage::descriptor()->FindFieldByName(kind);
  auto* settings = stage->GetReflection()->MutableMessage(stage, field);
  const auto* reward = field->message_type()->FindFieldByName("reward");
  if (reward == nullptr || !reward->is_repeated()) return;
  const auto* reflection = settings->GetReflection();
  if (reflection->FieldSize(*settings, reward) == 0) reflection->AddMessage(settings, reward);
}

void ResolveStage(Stage* stage) {
  if (stage->has_ppo() && !stage->ppo().advantage().has_whiten()) {
    auto* advantage = stage->mutable_ppo()->mutable_advantage();
    advantage->set_whiten(advantage->estimator() == PpoSettings::Advantage::GAE);
  }
  if (stage->rcrl().label_by() == RcrlSettings::RISE && !stage->rcrl().has_threshold()) {
    stage->mutable_rcrl()->set_threshold(0);
  }
}

}  // namespace

void ResolveConfig(RunConfig* config) {
  if (config->data().train() == "builtin" && !config->data().has_eval()) {
    config->mutable_data()->set_eval("builtin");
  }
  for (MixtureSet& set : *config->mutable_data()->mutable_set()) {
    if (set.train() == "builtin" && !set.has_eval()) set.set_eval("builtin");
  }
  if (config->learner().sharding() == LearnerSettings::HYBRID &&
      config->learner().shard_ranks() == 0) {
    const uint32_t ranks = config->resources().learner_ranks();
    const uint32_t nodes = std::max(1u, config->resources().learner_nodes());
    config->mutable_learner()->set_shard_ranks(std::max(1u, ranks / nodes));
  }
  std::map<std::string, int> count;
  for (Stage& stage : *config->mutable_stage()) {
    const StageInfo info(stage);
    const std::string kind = info.kind();
    if (kind.empty()) continue;
    const int number = ++count[kind];
    const bool trains = info.trains();
    if (!stage.has_name()) stage.set_name(absl::StrCat(kind, "_", number));
    if (trains) {
      TrainingSettings training = config->training();
      MergeOver(stage.training(), &training);
      *stage.mutable_training() = training;
    }
    ResolveRewards(kind, &stage);
    ResolveStage(&stage);
  }
  ResolveAnswers(config);
}

}  // namespace reckon
