#include "common/config/validate_texts.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/config/fields.h"
#include "common/config/stage_info.h"
#include "common/config/validate.h"

namespace reckon {
namespace {

using Trait = bool (*)(const StageKind&);

bool TrainsRewardModel(const StageKind& kind) { return kind.trains() == StageKind::REWARD_MODEL; }
bool KeepsSelection(const StageKind& kind) { return kind.keeps_selection(); }

absl::Status CheckName(const TextField& field) {
  const std::string& name = field.value;
  bool good = !name.empty() && name.size() <= 100 && name[0] != '.' && name[0] != '-';
  for (char c : name) good &= absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  if (good) return absl::OkStatus();
  return InvalidKey(field.path, "'", name,
                    "' must be 1 to 100 letters, digits, '_', '-' and '.', and must not start ",
                    "with '-' or '.'");
}

// A value that is the name of a stage.
absl::Status CheckStageName(const RunConfig& config, const TextField& field, int earlier,
                            Trait trait) {
  for (int i = 0; i < earlier; ++i) {
    const Stage& stage = config.stage(i);
    if (stage.name() == field.value && trait(StageInfo(stage).traits())) return absl::OkStatus();
  }
  return InvalidKey(field.path, "'", field.value, "' is not the name of an earlier ",
                    KindsWith(trait), " stage; ",
                    field.kind == Text::REWARD_MODEL
                        ? "give such a name, or a folder as a path with a '/'"
                        : "give such a name");
}

absl::Status Missing(const TextField& field) {
  switch (field.kind) {
    case Text::PATH:
      return InvalidKey(field.path, "is required; set it to a path (--set ", field.path, "=PATH)");
    case Text::REWARD_MODEL:
      return InvalidKey(field.path, "is required; set it to the name of an earlier ",
                        KindsWith(TrainsRewardModel), " stage, or to the folder that one wrote");
    case Text::SELECTION:
      return InvalidKey(field.path, "is required; set it to the name of an earlier ",
                        KindsWith(KeepsSelection), " stage");
    default:
      return InvalidKey(field.path, "must not be empty");
  }
}

}  // namespace

absl::Status CheckTexts(const RunConfig& config, const google::protobuf::Message& message,
                        const std::string& prefix, int earlier) {
  return VisitTexts(message, prefix, [&](const TextField& field) -> absl::Status {
    if (field.required && field.value.empty()) return Missing(field);
    if (field.value.empty()) return absl::OkStatus();
    if (field.kind == Text::NAME) return CheckName(field);
    if (field.kind == Text::SELECTION) {
      return CheckStageName(config, field, earlier, KeepsSelection);
    }
    if (field.kind == Text::REWARD_MODEL && !IsFolder(field.value)) {
      return CheckStageName(config, field, earlier, TrainsRewardModel);
    }
    return absl::OkStatus();
  });
}

}  // namespace reckon
