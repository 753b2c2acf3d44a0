#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/config/config_steps.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Sets every field that is not set to its default, so that a reader sees what a run used.
void FillDefaults(Message* message) {
  const auto* type = message->GetDescriptor();
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_repeated()) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      for (int j = 0; j < reflection->FieldSize(*message, field); ++j) {
        FillDefaults(reflection->MutableRepeatedMessage(message, field, j));
      }
      continue;
    }
    bool set = reflection->HasField(*message, field);
    if (field->real_containing_oneof() != nullptr && !set) continue;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        FillDefaults(reflection->MutableMessage(message, field));
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        if (!set && field->has_default_value()) {
          reflection->SetString(message, field, field->default_value_string());
        }
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (!set) reflection->SetDouble(message, field, field->default_value_double());
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        if (!set) reflection->SetUInt32(message, field, field->default_value_uint32());
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        if (!set) reflection->SetUInt64(message, field, field->default_value_uint64());
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (!set) reflection->SetBool(message, field, field->default_value_bool());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        if (!set) reflection->SetEnum(message, field, field->default_value_enum());
        break;
      default:
        break;  // the schema has no other types
    }
  }
}

const char* KindName(const Stage& stage) {
  switch (stage.kind_case()) {
    case Stage::kSft:
      return "sft";
    case Stage::kEi:
      return "ei";
    case Stage::kEval:
      return "eval";
    case Stage::kInit:
      return "init";
    case Stage::kPpo:
      return "ppo";
    case Stage::kOrm:
      return "orm";
    case Stage::kRcrl:
      return "rcrl";
    case Stage::KIND_NOT_SET:
      return "";
  }
  return "";
}

bool Trains(const Stage& stage) {
  return stage.kind_case() != Stage::KIND_NOT_SET && !stage.has_eval() && !stage.has_init();
}

void ResolvePpo(PpoSettings* ppo) {
  if (ppo->reward().empty()) ppo->add_reward();
  if (!ppo->has_whiten_advantages()) {
    ppo->set_whiten_advantages(ppo->adv_estimator() == PpoSettings::GAE);
  }
}

}  // namespace

void ResolveConfig(RunConfig* config) {
  if (config->data().train() == "builtin" && !config->data().has_eval()) {
    config->mutable_data()->set_eval("builtin");
  }
  std::map<std::string, int> count;
  for (Stage& stage : *config->mutable_stage()) {
    std::string kind = KindName(stage);
    int number = ++count[kind];
    if (!stage.has_name() && !kind.empty()) stage.set_name(absl::StrCat(kind, "_", number));
    TrainingSettings training = config->training();
    MergeOver(stage.training(), &training);
    if (Trains(stage)) *stage.mutable_training() = training;
    if (stage.has_ei() && stage.ei().reward().empty()) stage.mutable_ei()->add_reward();
    if (stage.has_ppo()) ResolvePpo(stage.mutable_ppo());
    if (stage.rcrl().label_by() == RcrlSettings::RISE && !stage.rcrl().has_threshold()) {
      stage.mutable_rcrl()->set_threshold(0);
    }
  }
}

std::string FormatConfig(const RunConfig& config) {
  RunConfig full = config;
  full.clear_base();
  ResolveConfig(&full);
  FillDefaults(&full);
  std::string text;
  google::protobuf::TextFormat::PrintToString(full, &text);
  return text;
}

}  // namespace reckon
