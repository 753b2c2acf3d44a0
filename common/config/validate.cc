#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"

namespace reckon {
namespace {

template <typename... T>
absl::Status Invalid(absl::string_view key, const T&... what) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", what...));
}

// Written so that NaN fails.
absl::Status Between(absl::string_view key, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(key, value, " is out of range; allowed is ", low, " to ", high);
}

absl::Status AtLeastOne(absl::string_view key, uint64_t value, uint64_t high) {
  return Between(key, static_cast<double>(value), 1, static_cast<double>(high));
}

// A name that becomes a folder.
absl::Status CheckName(absl::string_view key, absl::string_view name) {
  bool good = !name.empty() && name.size() <= 100 && name[0] != '.' && name[0] != '-';
  for (char c : name) {
    good &= ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') ||
            c == '_' || c == '-' || c == '.';
  }
  if (good) return absl::OkStatus();
  return Invalid(key, "'", name,
                 "' must be letters, digits, '_', '-' and '.', and begin with none ",
                 "of the last two");
}

absl::Status CheckTraining(absl::string_view prefix, const TrainingSettings& t) {
  auto key = [&](absl::string_view name) { return absl::StrCat(prefix, ".", name); };
  RETURN_IF_ERROR(Between(key("learning_rate"), t.learning_rate(), 0, 1));
  RETURN_IF_ERROR(Between(key("min_learning_rate"), t.min_learning_rate(), 0, 1));
  if (t.min_learning_rate() > t.learning_rate()) {
    return Invalid(key("min_learning_rate"), t.min_learning_rate(), " is above learning_rate ",
                   t.learning_rate());
  }
  RETURN_IF_ERROR(Between(key("warmup_ratio"), t.warmup_ratio(), 0, 1));
  RETURN_IF_ERROR(Between(key("weight_decay"), t.weight_decay(), 0, 10));
  RETURN_IF_ERROR(Between(key("beta1"), t.beta1(), 0, 0.999999));
  RETURN_IF_ERROR(Between(key("beta2"), t.beta2(), 0, 0.999999));
  RETURN_IF_ERROR(Between(key("epsilon"), t.epsilon(), 1e-15, 1e-2));
  RETURN_IF_ERROR(Between(key("max_grad_norm"), t.max_grad_norm(), 0, 1e6));
  RETURN_IF_ERROR(AtLeastOne(key("batch_size"), t.batch_size(), 1 << 20));
  RETURN_IF_ERROR(AtLeastOne(key("epochs"), t.epochs(), 10000));
  RETURN_IF_ERROR(AtLeastOne(key("max_tokens"), t.max_tokens(), 1 << 20));
  RETURN_IF_ERROR(Between(key("lora_rank"), t.lora_rank(), 0, 1 << 16));
  return Between(key("lora_alpha"), t.lora_alpha(), 1e-6, 1e6);
}

// Names of the stages in front of one, by kind.
struct Earlier {
  std::set<std::string> orm, sampled;  // reward models; stages that record a selection
};

// A name without '/' is a stage's, else it is a folder.
absl::Status CheckOrmName(absl::string_view key, const std::string& orm, const Earlier& earlier) {
  if (orm.empty()) {
    return Invalid(key, "is required; name an orm stage in front of this one, or a folder");
  }
  if (orm.find('/') != std::string::npos || earlier.orm.count(orm) > 0) return absl::OkStatus();
  return Invalid(key, "'", orm,
                 "' is no orm stage in front of this one; a folder's name holds a /");
}

absl::Status CheckRewards(const std::string& prefix,
                          const google::protobuf::RepeatedPtrField<RewardSettings>& rewards,
                          const Earlier& earlier, bool online) {
  for (int i = 0; i < rewards.size(); ++i) {
    const std::string key = absl::StrCat(prefix, ".reward[", i, "]");
    const RewardSettings& reward = rewards[i];
    RETURN_IF_ERROR(Between(key + ".weight", reward.weight(), -1e6, 1e6));
    if (reward.kind() == RewardSettings::ORM) {
      RETURN_IF_ERROR(CheckOrmName(key + ".orm", reward.orm(), earlier));
    } else if (reward.has_orm() || reward.dense()) {
      return Invalid(key, "only kind ORM has the fields orm and dense");
    }
    if (reward.dense() && !online) {
      return Invalid(key + ".dense", "is for ppo; elsewhere the whole solution has one reward");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckReward(absl::string_view key, const RewardSettings& reward) {
  if (reward.kind() == RewardSettings::STEP_MATCH || reward.kind() == RewardSettings::ORM) {
    return Invalid(absl::StrCat(key, ".kind"), RewardSettings::Kind_Name(reward.kind()),
                   " does not tell right from wrong; use EXACT_MATCH_STRICT or ",
                   "EXACT_MATCH_FLEXIBLE");
  }
  return Between(absl::StrCat(key, ".weight"), reward.weight(), -1e6, 1e6);
}

absl::Status CheckSampling(const std::string& prefix, const SamplingSettings& s) {
  RETURN_IF_ERROR(Between(prefix + ".temperature", s.temperature(), 0, 100));
  if (!(s.top_p() > 0 && s.top_p() <= 1)) {
    return Invalid(prefix + ".top_p", s.top_p(), " is out of range; allowed is above 0 to 1");
  }
  return AtLeastOne(prefix + ".max_new_tokens", s.max_new_tokens(), 1 << 20);
}

// Online sampling has to be the distribution that the learner computes.
absl::Status CheckPpoSampling(const std::string& prefix, const SamplingSettings& s) {
  RETURN_IF_ERROR(CheckSampling(prefix, s));
  if (s.temperature() < 0.01) {
    return Invalid(prefix + ".temperature", s.temperature(),
                   " leaves nothing to explore; set it above 0.01");
  }
  if (s.top_k() == 0 && s.top_p() == 1) return absl::OkStatus();
  return Invalid(prefix + (s.top_k() != 0 ? ".top_k" : ".top_p"),
                 "truncated sampling gives tokens that the learner cannot weigh; set top_k: 0 and ",
                 "top_p: 1");
}

absl::Status CheckCurricula(const std::string& prefix, const PpoSettings& p) {
  RETURN_IF_ERROR(Between(prefix + ".backtrack_from", p.backtrack_from(), 0, 1));
  RETURN_IF_ERROR(Between(prefix + ".replay_ratio", p.replay_ratio(), 0, 1));
  RETURN_IF_ERROR(Between(prefix + ".replay_temperature", p.replay_temperature(), 0.01, 1e6));
  RETURN_IF_ERROR(Between(prefix + ".replay_staleness_coef", p.replay_staleness_coef(), 0, 1));
  if (p.replay_ratio() == 0 || p.max_staleness() == 0) return absl::OkStatus();
  return Invalid(
      prefix + ".replay_ratio", p.replay_ratio(),
      " chooses prompts by the step before, which is not yet learned with max_staleness ",
      p.max_staleness(), "; set one of them to 0");
}

// Which samples of a step are learned from, and what long ones cost.
absl::Status CheckLearnedSamples(const std::string& prefix, const PpoSettings& p) {
  const std::string batches = prefix + ".max_num_gen_batches";
  RETURN_IF_ERROR(AtLeastOne(batches, p.max_num_gen_batches(), 1000));
  if (p.max_num_gen_batches() > 1) {
    if (!p.filter_groups()) {
      return Invalid(batches, p.max_num_gen_batches(),
                     " are for groups that filter_groups leaves out; set it or leave this at 1");
    }
    if (p.max_staleness() > 0 || p.replay_ratio() > 0) {
      return Invalid(batches, p.max_num_gen_batches(),
                     " need max_staleness: 0 and replay_ratio: 0,",
                     " with which a step's batches are not known before it");
    }
  }
  RETURN_IF_ERROR(Between(prefix + ".overlong_buffer_len", p.overlong_buffer_len(), 0,
                          p.sampling().max_new_tokens()));
  return Between(prefix + ".overlong_penalty_factor", p.overlong_penalty_factor(), 0, 1e6);
}

absl::Status CheckPpo(const std::string& prefix, const PpoSettings& p, const Earlier& earlier) {
  auto key = [&](absl::string_view name) { return absl::StrCat(prefix, ".", name); };
  RETURN_IF_ERROR(AtLeastOne(key("steps"), p.steps(), 10'000'000));
  RETURN_IF_ERROR(AtLeastOne(key("prompts"), p.prompts(), 65536));
  RETURN_IF_ERROR(AtLeastOne(key("samples_per_prompt"), p.samples_per_prompt(), 4096));
  RETURN_IF_ERROR(Between(key("max_staleness"), p.max_staleness(), 0, 64));
  RETURN_IF_ERROR(AtLeastOne(key("ppo_epochs"), p.ppo_epochs(), 1000));
  RETURN_IF_ERROR(AtLeastOne(key("eval_every"), p.eval_every(), 10'000'000));
  RETURN_IF_ERROR(CheckPpoSampling(key("sampling"), p.sampling()));
  RETURN_IF_ERROR(CheckRewards(prefix, p.reward(), earlier, /*online=*/true));
  if (p.adv_estimator() != PpoSettings::GAE && p.samples_per_prompt() < 2) {
    return Invalid(key("samples_per_prompt"), "must be 2 or more with adv_estimator ",
                   PpoSettings::AdvEstimator_Name(p.adv_estimator()),
                   ", which compares the samples of a prompt");
  }
  RETURN_IF_ERROR(Between(key("gamma"), p.gamma(), 0, 1));
  RETURN_IF_ERROR(Between(key("lam"), p.lam(), 0, 1));
  RETURN_IF_ERROR(Between(key("clip_ratio_low"), p.clip_ratio_low(), 0, 1));
  RETURN_IF_ERROR(Between(key("clip_ratio_high"), p.clip_ratio_high(), 0, 1000));
  if (p.clip_ratio_c() != 0)
    RETURN_IF_ERROR(Between(key("clip_ratio_c"), p.clip_ratio_c(), 1, 1e6));
  RETURN_IF_ERROR(Between(key("importance_cap"), p.importance_cap(), 0, 1e6));
  if (p.max_staleness() > 0 && p.importance_cap() == 0) {
    return Invalid(key("importance_cap"), "must be above 0 with max_staleness ", p.max_staleness(),
                   ": stale samples are weighed by it");
  }
  RETURN_IF_ERROR(Between(key("kl_coef"), p.kl_coef(), 0, 1e6));
  if (p.kl_coef() == 0 && p.kl_target() > 0) {
    return Invalid(key("kl_target"), p.kl_target(), " steers kl_coef, which is 0");
  }
  RETURN_IF_ERROR(Between(key("kl_target"), p.kl_target(), 0, 1e6));
  RETURN_IF_ERROR(AtLeastOne(key("kl_horizon"), static_cast<uint64_t>(p.kl_horizon()), 1e12));
  RETURN_IF_ERROR(Between(key("vf_coef"), p.vf_coef(), 0, 1e6));
  if (p.value_layers() > 0 && p.adv_estimator() != PpoSettings::GAE) {
    return Invalid(key("value_layers"), p.value_layers(), " are a critic's, and adv_estimator ",
                   PpoSettings::AdvEstimator_Name(p.adv_estimator()),
                   " has none; use GAE or set it to 0");
  }
  RETURN_IF_ERROR(Between(key("value_clip"), p.value_clip(), 0, 1e6));
  RETURN_IF_ERROR(CheckLearnedSamples(prefix, p));
  return CheckCurricula(prefix, p);
}

absl::Status CheckEi(const std::string& prefix, const EiSettings& ei, const Earlier& earlier) {
  RETURN_IF_ERROR(AtLeastOne(prefix + ".rounds", ei.rounds(), 1000));
  RETURN_IF_ERROR(AtLeastOne(prefix + ".samples_per_prompt", ei.samples_per_prompt(), 4096));
  RETURN_IF_ERROR(CheckSampling(prefix + ".sampling", ei.sampling()));
  if (ei.sampling().temperature() == 0 && ei.samples_per_prompt() > 1) {
    return Invalid(
        prefix + ".sampling.temperature",
        "0 makes all samples of a prompt equal; set it above 0 or samples_per_prompt to 1");
  }
  RETURN_IF_ERROR(CheckRewards(prefix, ei.reward(), earlier, /*online=*/false));
  return Between(prefix + ".threshold", ei.threshold(), -1e6, 1e6);
}

absl::Status CheckOrm(const std::string& prefix, const OrmSettings& orm) {
  RETURN_IF_ERROR(AtLeastOne(prefix + ".samples_per_prompt", orm.samples_per_prompt(), 4096));
  RETURN_IF_ERROR(CheckSampling(prefix + ".sampling", orm.sampling()));
  RETURN_IF_ERROR(CheckReward(prefix + ".reward", orm.reward()));
  return Between(prefix + ".held_out", orm.held_out(), 0, 0.9);
}

absl::Status CheckRcrl(const std::string& prefix, const RcrlSettings& rcrl,
                       const Earlier& earlier) {
  if (earlier.sampled.count(rcrl.selection()) == 0) {
    return Invalid(prefix + ".selection", "'", rcrl.selection(),
                   "' is no orm or ei stage in front of this one; name one");
  }
  RETURN_IF_ERROR(CheckOrmName(prefix + ".orm", rcrl.orm(), earlier));
  RETURN_IF_ERROR(Between(prefix + ".threshold", rcrl.threshold(), -1, 1));
  if (rcrl.good_label() == rcrl.bad_label()) {
    return Invalid(prefix + ".bad_label", "'", rcrl.bad_label(), "' is the good label too");
  }
  return Between(prefix + ".good_ratio", rcrl.good_ratio(), 0, 1);
}

absl::Status CheckData(const DataSettings& data) {
  if (data.train().empty()) {
    return Invalid("data.train",
                   "is required; set it to a data file or to builtin (--set data.train=...)");
  }
  const double fraction = data.validation_fraction();
  RETURN_IF_ERROR(Between("data.validation_fraction", fraction, 0, 0.9));
  if (fraction > 0 && (!data.eval().empty() || data.train() == "builtin")) {
    return Invalid("data.validation_fraction",
                   "holds out a part of the file data.train; leave it or data.eval out");
  }
  if (data.eval().empty() && data.train() != "builtin" && fraction == 0) {
    return Invalid("data.eval", "is required; set it to a data file or to builtin, or set ",
                   "data.validation_fraction to hold out a part of data.train");
  }
  if (data.question_key().empty()) return Invalid("data.question_key", "must not be empty");
  if (data.answer_key().empty()) return Invalid("data.answer_key", "must not be empty");
  if (data.format() == DataSettings::FEW_SHOT) {
    RETURN_IF_ERROR(AtLeastOne("data.few_shot_examples", data.few_shot_examples(), 64));
  }
  const BuiltinProblems& b = data.builtin();
  RETURN_IF_ERROR(AtLeastOne("data.builtin.train_problems", b.train_problems(), 10'000'000));
  RETURN_IF_ERROR(AtLeastOne("data.builtin.eval_problems", b.eval_problems(), 10'000'000));
  RETURN_IF_ERROR(Between("data.builtin.min_steps", b.min_steps(), 1, 4));
  return Between("data.builtin.max_steps", b.max_steps(), b.min_steps(), 4);
}

absl::Status CheckRoles(const RunConfig& config) {
  const ActorSettings& a = config.actor();
  RETURN_IF_ERROR(AtLeastOne("actor.count", a.count(), 1024));
  RETURN_IF_ERROR(AtLeastOne("actor.max_batch", a.max_batch(), 65536));
  RETURN_IF_ERROR(Between("actor.threads", a.threads(), 0, 4096));
  RETURN_IF_ERROR(Between("actor.kv_cache_mib", a.kv_cache_mib(), 16, 1 << 24));
  const LearnerSettings& l = config.learner();
  RETURN_IF_ERROR(AtLeastOne("learner.ranks", l.ranks(), 1024));
  RETURN_IF_ERROR(Between("learner.threads", l.threads(), 0, 4096));
  RETURN_IF_ERROR(Between("learner.micro_batch_tokens", l.micro_batch_tokens(), 16, 1 << 24));
  const CoordinatorSettings& c = config.coordinator();
  if (c.listen().find(':') == std::string::npos) {
    return Invalid("coordinator.listen", "'", c.listen(), "' must be HOST:PORT, as 127.0.0.1:0");
  }
  RETURN_IF_ERROR(Between("coordinator.lease_ms", c.lease_ms(), 100, 86'400'000));
  RETURN_IF_ERROR(AtLeastOne("coordinator.max_attempts", c.max_attempts(), 1000));
  RETURN_IF_ERROR(Between("coordinator.sync_tick_ms", c.sync_tick_ms(), 0, 10'000));
  return AtLeastOne("coordinator.max_resident_groups", c.max_resident_groups(), 10'000'000);
}

absl::Status CheckEval(const EvalSettings& eval) {
  RETURN_IF_ERROR(Between("eval.samples", eval.samples(), 0, 4096));
  RETURN_IF_ERROR(Between("eval.temperature", eval.temperature(), 0, 100));
  if (eval.samples() > 1 && eval.temperature() == 0) {
    return Invalid("eval.temperature",
                   "0 makes the K samples equal; set it above 0, or eval.samples to 0");
  }
  RETURN_IF_ERROR(AtLeastOne("eval.max_new_tokens", eval.max_new_tokens(), 1 << 20));
  RETURN_IF_ERROR(Between("eval.bootstrap", eval.bootstrap(), 1, 1'000'000));
  return CheckReward("eval.reward", eval.reward());
}

absl::Status CheckInit(const std::string& prefix, const InitSettings& init) {
  auto key = [&](absl::string_view name) { return absl::StrCat(prefix, ".", name); };
  RETURN_IF_ERROR(AtLeastOne(key("hidden_size"), init.hidden_size(), 16384));
  RETURN_IF_ERROR(AtLeastOne(key("intermediate_size"), init.intermediate_size(), 65536));
  RETURN_IF_ERROR(AtLeastOne(key("num_hidden_layers"), init.num_hidden_layers(), 256));
  RETURN_IF_ERROR(AtLeastOne(key("num_attention_heads"), init.num_attention_heads(), 256));
  RETURN_IF_ERROR(AtLeastOne(key("num_key_value_heads"), init.num_key_value_heads(), 256));
  if (init.hidden_size() % (2 * init.num_attention_heads()) != 0) {
    return Invalid(key("hidden_size"), init.hidden_size(), " must be a multiple of 2 x ",
                   "num_attention_heads = ", 2 * init.num_attention_heads());
  }
  if (init.num_attention_heads() % init.num_key_value_heads() != 0) {
    return Invalid(key("num_attention_heads"), init.num_attention_heads(),
                   " must be a multiple of num_key_value_heads ", init.num_key_value_heads());
  }
  RETURN_IF_ERROR(Between(key("vocab_size"), init.vocab_size(), 259, 65536));
  return AtLeastOne(key("max_position_embeddings"), init.max_position_embeddings(), 1 << 20);
}

// The model comes from model.path or from an init stage in front of the others.
absl::Status CheckModel(const RunConfig& config) {
  for (int i = 0; i < config.stage_size(); ++i) {
    if (!config.stage(i).has_init()) continue;
    std::string key = absl::StrCat("stage[", i, "].init");
    if (i > 0) return Invalid(key, "must be the first stage");
    if (!config.model().path().empty()) {
      return Invalid("model.path", "'", config.model().path(), "' and ", key,
                     " are two models; leave one out");
    }
    return CheckInit(key, config.stage(i).init());
  }
  if (!config.model().path().empty()) return absl::OkStatus();
  return Invalid("model.path", "is required; set it to a Hugging Face folder (--set ",
                 "model.path=DIR), or begin with: stage { init {} }");
}

absl::Status CheckStages(const RunConfig& config) {
  if (config.stage().empty()) {
    return Invalid("stage", "is required; add one, as in: stage { sft {} }");
  }
  std::set<std::string> names;
  Earlier earlier;
  for (int i = 0; i < config.stage_size(); ++i) {
    const Stage& stage = config.stage(i);
    std::string key = absl::StrCat("stage[", i, "]");
    if (stage.has_name()) {
      RETURN_IF_ERROR(CheckName(key + ".name", stage.name()));
      if (!names.insert(stage.name()).second) {
        return Invalid(key + ".name", "'", stage.name(), "' is used twice; names must differ");
      }
    }
    if (stage.has_training()) RETURN_IF_ERROR(CheckTraining(key + ".training", stage.training()));
    if (stage.kind_case() == Stage::KIND_NOT_SET) {
      return Invalid(
          key,
          "says not what to do; add one of init {}, sft {}, ei {}, ppo {}, orm {}, rcrl {}, "
          "eval {}");
    }
    if (stage.has_ei()) RETURN_IF_ERROR(CheckEi(key + ".ei", stage.ei(), earlier));
    if (stage.has_ppo()) RETURN_IF_ERROR(CheckPpo(key + ".ppo", stage.ppo(), earlier));
    if (stage.has_orm()) RETURN_IF_ERROR(CheckOrm(key + ".orm", stage.orm()));
    if (stage.has_rcrl()) RETURN_IF_ERROR(CheckRcrl(key + ".rcrl", stage.rcrl(), earlier));
    if (stage.has_orm()) earlier.orm.insert(stage.name());
    if (stage.has_ei() || stage.has_orm()) earlier.sampled.insert(stage.name());
  }
  // Evaluations use it as soon as it is there.
  if (config.eval().has_orm()) {
    RETURN_IF_ERROR(CheckOrmName("eval.orm", config.eval().orm(), earlier));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateConfig(const RunConfig& config) {
  RETURN_IF_ERROR(CheckName("name", config.name()));
  if (config.output_dir().empty()) return Invalid("output_dir", "must not be empty");
  RETURN_IF_ERROR(CheckModel(config));
  RETURN_IF_ERROR(CheckData(config.data()));
  RETURN_IF_ERROR(CheckRoles(config));
  RETURN_IF_ERROR(CheckTraining("training", config.training()));
  RETURN_IF_ERROR(CheckEval(config.eval()));
  RETURN_IF_ERROR(AtLeastOne("keep_last", config.keep_last(), 1000));
  return CheckStages(config);
}

}  // namespace reckon
