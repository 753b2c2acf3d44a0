#ifndef RECKON_COMMON_CONFIG_STAGE_INFO_H_
#define RECKON_COMMON_CONFIG_STAGE_INFO_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/config.pb.h"
#include "proto/options.pb.h"

namespace reckon {

// A view of one stage that does not depend on its kind: what the kind does is the (stage_kind)
// option of its settings message, and what kinds have in common is found by field name or by type.
// Code that uses it needs no change when config.proto gets another kind. Example:
//
//   StageInfo info(stage);
//   if (info.traits().online()) ...
//   const double samples = info.Count("prompts").value_or(0) * *info.Count("samples_per_prompt");
//   if (const auto* kl = info.Part<PpoSettings::Kl>(); kl != nullptr && kl->coef() > 0) ...
//
// Refers to the stage, which must outlive it and not change.
class StageInfo {
 public:
  explicit StageInfo(const Stage& stage);

  // Name of the kind's field: "ppo"; "" when the stage has no kind yet.
  const std::string& kind() const;
  const StageKind& traits() const;
  bool trains() const { return traits().trains() != StageKind::NOTHING; }
  // The kind's message; an empty message when the stage has no kind.
  const google::protobuf::Message& settings() const { return *settings_; }

  // A uint32 field of the settings, or its default; nothing when the kind has no such field.
  std::optional<uint32_t> Count(absl::string_view field) const;
  // How often the stage makes a weight version: its rounds, its steps, or 1.
  uint32_t Rounds() const;

  // The settings if they are a T, else null.
  template <typename T>
  const T* As() const {
    return settings_->GetDescriptor() == T::descriptor() ? static_cast<const T*>(settings_)
                                                         : nullptr;
  }
  // The first singular field of type T of the settings (the default message when it is not set);
  // null when the kind has none.
  template <typename T>
  const T* Part() const {
    return static_cast<const T*>(Find(T::descriptor()));
  }
  const SamplingParams* sampling() const { return Part<SamplingParams>(); }
  // The terms of the reward that the stage trains for; empty when the kind has no repeated reward.
  std::vector<const RewardSpec*> rewards() const;
  // The names of the reward models that the stage uses, as its settings have them.
  std::vector<std::string> reward_models() const;

 private:
  const google::protobuf::Message* Find(const google::protobuf::Descriptor* type) const;

  const google::protobuf::FieldDescriptor* field_ = nullptr;  // null: no kind
  const google::protobuf::Message* settings_;
};

// The reward's name in rollouts and reports: as set, or its kind in lower case.
std::string RewardName(const RewardSpec& reward);

// The kinds for which `has` holds, for messages to humans: "ei or orm".
std::string KindsWith(bool (*has)(const StageKind&));

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_STAGE_INFO_H_
