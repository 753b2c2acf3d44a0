#include "common/config/validate_stage.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/command_words.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/config/stage_info.h"
#include "common/config/validate.h"

namespace reckon {
namespace {

absl::Status CheckRewards(const std::string& prefix, const StageInfo& info) {
  const std::vector<const RewardSpec*> rewards = info.rewards();
  std::set<std::string> names;
  for (size_t i = 0; i < rewards.size(); ++i) {
    const RewardSpec& reward = *rewards[i];
    const std::string key = absl::StrCat(prefix, ".reward[", i, "]");
    if (!names.insert(RewardName(reward)).second) {
      return InvalidKey(key + ".name", "'", RewardName(reward),
                        "' is the name of an earlier reward as well; choose another");
    }
    RETURN_IF_ERROR(CheckRewardFields(key, reward));
    if (reward.dense() && !info.traits().online()) {
      return InvalidKey(key + ".dense", "only online stages (",
                        KindsWith([](const StageKind& kind) { return kind.online(); }),
                        ") use rewards of single steps; remove it");
    }
  }
  if (const auto* verdict = info.Part<RewardSpec>(); verdict != nullptr) {
    return CheckVerdictReward(prefix + ".reward", *verdict);
  }
  return absl::OkStatus();
}

absl::Status CheckSampling(const std::string& prefix, const StageInfo& info) {
  const SamplingParams& sampling = *info.sampling();
  auto key = [&](absl::string_view field) { return absl::StrCat(prefix, ".sampling.", field); };
  if (sampling.max_new_tokens() == 0) {
    return InvalidKey(key("max_new_tokens"), "0 samples nothing; set it to at least 1");
  }
  // The learner weighs a token by the probability with which it was drawn, which it can compute
  // for the full softmax only.
  if (info.traits().online()) {
    if (sampling.temperature() < 0.01) {
      return InvalidKey(key("temperature"), sampling.temperature(),
                        " leaves nothing to explore; set it to at least 0.01");
    }
    if (sampling.top_k() == 0 && sampling.top_p() == 1) return absl::OkStatus();
    return InvalidKey(key(sampling.top_k() != 0 ? "top_k" : "top_p"),
                      "the learner cannot weigh tokens of truncated sampling; set top_k: 0 and ",
                      "top_p: 1");
  }
  if (sampling.temperature() > 0 || info.Count("samples_per_prompt").value_or(1) == 1) {
    return absl::OkStatus();
  }
  return InvalidKey(key("temperature"),
                    "0 makes all samples of a prompt equal; set it above 0, or ",
                    "samples_per_prompt to 1");
}

// Settings of ppo whose prompts or samples depend on what the step before has learned.
absl::Status CheckPpoSchedule(const std::string& prefix, const PpoSettings& ppo) {
  if (ppo.replay().ratio() > 0 && ppo.max_staleness() > 0) {
    return InvalidKey(prefix + ".replay.ratio", ppo.replay().ratio(),
                      " chooses prompts by the scores of the step before, which are not known yet ",
                      "with max_staleness ", ppo.max_staleness(), "; set one of them to 0");
  }
  const uint32_t batches = ppo.filter().max_num_gen_batches();
  if (batches == 1) return absl::OkStatus();
  const std::string key = prefix + ".filter.max_num_gen_batches";
  if (!ppo.filter().groups()) {
    return InvalidKey(key, batches, " replaces groups that filter.groups leaves out; set ",
                      "filter.groups: true, or this to 1");
  }
  if (ppo.max_staleness() > 0 || ppo.replay().ratio() > 0) {
    return InvalidKey(key, batches, " needs max_staleness: 0 and replay.ratio: 0, because the ",
                      "number of batches of a step is not known before it ends");
  }
  return absl::OkStatus();
}

absl::Status CheckPpo(const std::string& prefix, const PpoSettings& ppo) {
  auto key = [&](absl::string_view field) { return absl::StrCat(prefix, ".", field); };
  const PpoSettings::Advantage::Estimator estimator = ppo.advantage().estimator();
  const std::string& name = PpoSettings::Advantage::Estimator_Name(estimator);
  if (estimator != PpoSettings::Advantage::GAE) {
    if (ppo.samples_per_prompt() < 2) {
      return InvalidKey(key("samples_per_prompt"), "must be at least 2 with advantage.estimator ",
                        name, ", which compares the samples of a prompt");
    }
    if (ppo.critic().layers() > 0) {
      return InvalidKey(key("critic.layers"), ppo.critic().layers(),
                        " needs a critic, and advantage.estimator ", name,
                        " has none; use GAE, or set this to 0");
    }
  }
  if (ppo.filter().groups() && ppo.samples_per_prompt() < 2) {
    return InvalidKey(key("filter.groups"),
                      "true leaves out prompts whose samples have equal scores, ",
                      "which is every prompt with samples_per_prompt ", ppo.samples_per_prompt(),
                      "; raise it, or set this to false");
  }
  if (ppo.max_staleness() > 0 && ppo.clip().importance_cap() == 0) {
    return InvalidKey(key("clip.importance_cap"), "must be above 0 with max_staleness ",
                      ppo.max_staleness(), ", because it weighs stale samples");
  }
  if (ppo.kl().coef() == 0 && ppo.kl().target() > 0) {
    return InvalidKey(key("kl.target"), ppo.kl().target(),
                      " steers kl.coef, which is 0; set kl.coef above 0, or this to 0");
  }
  if (ppo.overlong().buffer_len() > ppo.sampling().max_new_tokens()) {
    return InvalidKey(key("overlong.buffer_len"), ppo.overlong().buffer_len(),
                      " is above sampling.max_new_tokens ", ppo.sampling().max_new_tokens(),
                      "; lower it to at most that");
  }
  return CheckPpoSchedule(prefix, ppo);
}

absl::Status CheckInit(const std::string& prefix, const InitSettings& init) {
  const uint32_t heads = init.num_attention_heads();
  if (init.hidden_size() % (2 * heads) != 0) {
    return InvalidKey(prefix + ".hidden_size", init.hidden_size(),
                      " must be a multiple of 2 x num_attention_heads = ", 2 * heads);
  }
  if (heads % init.num_key_value_heads() != 0) {
    return InvalidKey(prefix + ".num_attention_heads", heads,
                      " must be a multiple of num_key_value_heads ", init.num_key_value_heads());
  }
  return absl::OkStatus();
}

absl::Status CheckRcrl(const std::string& prefix, const RcrlSettings& rcrl) {
  if (rcrl.good_label() != rcrl.bad_label()) return absl::OkStatus();
  return InvalidKey(prefix + ".bad_label", "'", rcrl.bad_label(),
                    "' is good_label as well; choose another token");
}

}  // namespace

absl::Status CheckRewardFields(const std::string& key, const RewardSpec& reward) {
  const bool process = reward.kind() == RewardSpec::PROCESS;
  const bool service = reward.kind() == RewardSpec::SERVICE;
  if (reward.kind() == RewardSpec::ORM) {
    if (reward.orm().empty()) {
      return InvalidKey(key + ".orm", "is required with kind ORM; set it to the name of an ",
                        "earlier orm stage, or to the folder that one wrote");
    }
  } else if (reward.has_orm() || reward.dense()) {
    return InvalidKey(key, "orm and dense are fields of kind ORM only; remove them, or set ",
                      "kind: ORM");
  }
  if (process) {
    const absl::Status split = SplitCommand(reward.command()).status();
    if (!split.ok())
      return InvalidKey(key + ".command", "'", reward.command(), "' ", split.message());
  } else if (!reward.command().empty()) {
    return InvalidKey(key + ".command", "is a field of kind PROCESS only; remove it, or set ",
                      "kind: PROCESS");
  }
  if (service) {
    const absl::StatusOr<HostPort> address = ParseHostPort(reward.address());
    if (!address.ok()) return InvalidKey(key + ".address", address.status().message());
    if (reward.plain_text() && !address->is_loopback()) {
      return InvalidKey(key + ".plain_text", "is for services on loopback, and ", reward.address(),
                        " is not; remove it, and start the service with the run's certificates");
    }
  } else if (!reward.address().empty() || reward.plain_text()) {
    return InvalidKey(key, "address and plain_text are fields of kind SERVICE only; remove them, ",
                      "or set kind: SERVICE");
  }
  return absl::OkStatus();
}

absl::Status CheckVerdictReward(absl::string_view key, const RewardSpec& reward) {
  const auto* kinds = RewardSpec::Kind_descriptor();
  std::vector<std::string> tell_right;
  for (int i = 0; i < kinds->value_count(); ++i) {
    if (!kinds->value(i)->options().GetExtension(tells_right)) continue;
    if (kinds->value(i)->number() == reward.kind()) {
      return CheckRewardFields(std::string(key), reward);
    }
    tell_right.push_back(kinds->value(i)->name());
  }
  return InvalidKey(absl::StrCat(key, ".kind"), RewardSpec::Kind_Name(reward.kind()),
                    " does not tell right from wrong; use ", absl::StrJoin(tell_right, " or "));
}

absl::Status CheckStage(const std::string& key, const Stage& stage) {
  const StageInfo info(stage);
  const std::string prefix = absl::StrCat(key, ".", info.kind());
  if (info.sampling() != nullptr) RETURN_IF_ERROR(CheckSampling(prefix, info));
  RETURN_IF_ERROR(CheckRewards(prefix, info));
  if (const auto* init = info.As<InitSettings>()) return CheckInit(prefix, *init);
  if (const auto* ppo = info.As<PpoSettings>()) return CheckPpo(prefix, *ppo);
  if (const auto* rcrl = info.As<RcrlSettings>()) return CheckRcrl(prefix, *rcrl);
  return absl::OkStatus();
}

}  // namespace reckon
