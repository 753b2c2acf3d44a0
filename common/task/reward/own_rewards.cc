#include "common/task/reward/own_rewards.h"

#include <algorithm>

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Collect(const Message& message, std::vector<const RewardSpec*>* found) {
  if (message.GetDescriptor() == RewardSpec::descriptor()) {
    found->push_back(&static_cast<const RewardSpec&>(message));
    return;
  }
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      Collect(reflection->GetMessage(message, field), found);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      Collect(reflection->GetRepeatedMessage(message, field, i), found);
    }
  }
}

}  // namespace

std::vector<const RewardSpec*> AllRewards(const Message& message) {
  std::vector<const RewardSpec*> found;
  Collect(message, &found);
  return found;
}

std::vector<const RewardSpec*> OwnRewards(const Message& message) {
  std::vector<const RewardSpec*> found = AllRewards(message);
  std::erase_if(found, [](const RewardSpec* spec) { return !IsOwnReward(*spec); });
  return found;
}

std::vector<std::string> RewardCommands(const Message& message) {
  std::vector<std::string> commands;
  for (const RewardSpec* spec : OwnRewards(message)) {
    if (spec->kind() != RewardSpec::PROCESS) continue;
    if (std::find(commands.begin(), commands.end(), spec->command()) == commands.end()) {
      commands.push_back(spec->command());
    }
  }
  return commands;
}

AnswerUse AnswerUseOf(const RunConfig& config) {
  if (OwnRewards(config).empty()) return AnswerUse::kCompared;
  const auto learns_from_answers = [](const Stage& stage) {
    return stage.has_sft() || stage.has_orm() || stage.has_rcrl() ||
           (stage.has_ei() && stage.ei().include_sft_data());
  };
  const auto compares = [](const RewardSpec* spec) {
    return !IsOwnReward(*spec) && spec->kind() != RewardSpec::ORM;
  };
  const std::vector<const RewardSpec*> rewards = AllRewards(config);
  const bool none =
      config.eval().has_reward() &&
      std::none_of(config.stage().begin(), config.stage().end(), learns_from_answers) &&
      std::none_of(rewards.begin(), rewards.end(), compares);
  return none ? AnswerUse::kNone : AnswerUse::kOwnRewards;
}

}  // namespace reckon
