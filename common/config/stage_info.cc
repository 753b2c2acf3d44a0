#include "common/config/stage_info.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config/fields.h"

namespace reckon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const google::protobuf::OneofDescriptor* Kinds() {
  return Stage::descriptor()->FindOneofByName("kind");
}

}  // namespace

StageInfo::StageInfo(const Stage& stage)
    : field_(stage.GetReflection()->GetOneofFieldDescriptor(stage, Kinds())),
      settings_(field_ == nullptr ? &EvalStage::default_instance()
                                  : &stage.GetReflection()->GetMessage(stage, field_)) {}

const std::string& StageInfo::kind() const {
  static const std::string none;
  return field_ == nullptr ? none : field_->name();
}

const StageKind& StageInfo::traits() const {
  return field_ == nullptr ? StageKind::default_instance()
                           : settings_->GetDescriptor()->options().GetExtension(stage_kind);
}

std::optional<uint32_t> StageInfo::Count(absl::string_view name) const {
  const FieldDescriptor* field = settings_->GetDescriptor()->FindFieldByName(std::string(name));
  if (field == nullptr) return std::nullopt;
  return settings_->GetReflection()->GetUInt32(*settings_, field);
}

uint32_t StageInfo::Rounds() const { return Count("rounds").value_or(Count("steps").value_or(1)); }

std::vector<const RewardSpec*> StageInfo::rewards() const {
  std::vector<const RewardSpec*> found;
  const FieldDescriptor* field = settings_->GetDescriptor()->FindFieldByName("reward");
  if (field == nullptr || !field->is_repeated()) return found;
  const auto* reflection = settings_->GetReflection();
  for (int i = 0; i < reflection->FieldSize(*settings_, field); ++i) {
    found.push_back(
        static_cast<const RewardSpec*>(&reflection->GetRepeatedMessage(*settings_, field, i)));
  }
  return found;
}

std::vector<std::string> StageInfo::reward_models() const {
  std::vector<std::string> found;
  VisitTexts(*settings_, "", [&](const TextField& field) {
    if (field.kind == Text::REWARD_MODEL && !field.value.empty()) found.push_back(field.value);
    return absl::OkStatus();
  }).IgnoreError();
  return found;
}

const Message* StageInfo::Find(const Descriptor* type) const {
  const Descriptor* settings = settings_->GetDescriptor();
  for (int i = 0; i < settings->field_count(); ++i) {
    const FieldDescriptor* field = settings->field(i);
    if (field->message_type() != type || field->is_repeated()) continue;
    return &settings_->GetReflection()->GetMessage(*settings_, field);
  }
  return nullptr;
}

std::string RewardName(const RewardSpec& reward) {
  return !reward.name().empty() ? reward.name()
                                : absl::AsciiStrToLower(RewardSpec::Kind_Name(reward.kind()));
}

std::string KindsWith(bool (*has)(const StageKind&)) {
  std::vector<std::string> names;
  for (int i = 0; i < Kinds()->field_count(); ++i) {
    const FieldDescriptor* field = Kinds()->field(i);
    if (has(field->message_type()->options().GetExtension(stage_kind))) {
      names.push_back(field->name());
    }
  }
  if (names.size() < 2) return absl::StrJoin(names, "");
  const std::string last = names.back();
  names.pop_back();
  return absl::StrCat(absl::StrJoin(names, ", "), " or ", last);
}

}  // namespace reckon
