#include "common/config/answers.h"

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/stage_info.h"
#include "common/config/validate.h"

namespace reckon {
namespace {

using Visit = absl::FunctionRef<absl::Status(const std::string& key, RewardSpec* reward)>;

// Visits the rewards that are direct fields of a message.
absl::Status VisitRewards(const std::string& prefix, google::protobuf::Message* message,
                          Visit visit) {
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const auto* field = message->GetDescriptor()->field(i);
    if (field->message_type() != RewardSpec::descriptor()) continue;
    const std::string key = absl::StrCat(prefix, ".", field->name());
    if (!field->is_repeated()) {
      auto* reward = static_cast<RewardSpec*>(reflection->MutableMessage(message, field));
      RETURN_IF_ERROR(visit(key, reward));
      continue;
    }
    for (int at = 0; at < reflection->FieldSize(*message, field); ++at) {
      auto* reward = reflection->MutableRepeatedMessage(message, field, at);
      RETURN_IF_ERROR(visit(absl::StrCat(key, "[", at, "]"), static_cast<RewardSpec*>(reward)));
    }
  }
  return absl::OkStatus();
}

absl::Status VisitRewards(RunConfig* config, Visit visit) {
  RETURN_IF_ERROR(VisitRewards("eval", config->mutable_eval(), visit));
  for (int i = 0; i < config->stage_size(); ++i) {
    Stage* stage = config->mutable_stage(i);
    const std::string kind = StageInfo(*stage).kind();
    if (kind.empty()) continue;
    auto* settings =
        stage->GetReflection()->MutableMessage(stage, Stage::descriptor()->FindFieldByName(kind));
    RETURN_IF_ERROR(VisitRewards(absl::StrCat("stage[", i, "].", kind), settings, visit));
  }
  return absl::OkStatus();
}

// The default kind of rewards, where answers are no numbers.
RewardSpec::Kind KindOf(DataSettings::Answers answers) {
  return answers == DataSettings::BOXED ? RewardSpec::ANSWER_BOXED : RewardSpec::ANSWER_TEXT;
}

}  // namespace

void ResolveAnswers(RunConfig* config) {
  const DataSettings::Answers answers = config->data().answers();
  if (answers == DataSettings::NUMBERS) return;
  VisitRewards(config, [answers](const std::string&, RewardSpec* reward) {
    if (!reward->has_kind()) reward->set_kind(KindOf(answers));
    return absl::OkStatus();
  }).IgnoreError();
}

absl::Status CheckAnswers(const RunConfig& config) {
  const DataSettings::Answers answers = config.data().answers();
  RunConfig copy = config;
  return VisitRewards(&copy, [&](const std::string& key, RewardSpec* reward) {
    const RewardSpec::Kind kind = reward->kind();
    if (answers != DataSettings::NUMBERS &&
        (kind == RewardSpec::EXACT_MATCH_STRICT || kind == RewardSpec::EXACT_MATCH_FLEXIBLE)) {
      return InvalidKey(key + ".kind", RewardSpec::Kind_Name(kind), " compares numbers, and ",
                        "data.answers is ", DataSettings::Answers_Name(answers), "; use ",
                        RewardSpec::Kind_Name(KindOf(answers)), ", or data.answers: NUMBERS");
    }
    if (answers != DataSettings::BOXED && kind == RewardSpec::ANSWER_BOXED) {
      return InvalidKey(key + ".kind", "ANSWER_BOXED reads the last \\boxed{}, which prompts do ",
                        "not ask for; set data.answers: BOXED");
    }
    if (answers != DataSettings::TEXT && kind == RewardSpec::ANSWER_TEXT) {
      return InvalidKey(key + ".kind", "ANSWER_TEXT compares texts, and data.answers is ",
                        DataSettings::Answers_Name(answers), "; set data.answers: TEXT");
    }
    return absl::OkStatus();
  });
}

}  // namespace reckon
