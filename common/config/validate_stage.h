#ifndef RECKON_COMMON_CONFIG_VALIDATE_STAGE_H_
#define RECKON_COMMON_CONFIG_VALIDATE_STAGE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/config.pb.h"

namespace reckon {

// Checks the rules that relate several fields of one stage, whose ranges and texts are valid: first
// those of every kind that samples or has a reward, then those of its own kind. `key` is
// "stage[1]".
absl::Status CheckStage(const std::string& key, const Stage& stage);

// Checks the fields that only some kinds of a reward have.
absl::Status CheckRewardFields(const std::string& key, const RewardSpec& reward);

// Checks a reward that must tell right from wrong (evaluation, labels of a reward model).
absl::Status CheckVerdictReward(absl::string_view key, const RewardSpec& reward);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_VALIDATE_STAGE_H_
