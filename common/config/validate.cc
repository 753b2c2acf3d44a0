#include "common/config/validate.h"

#include <set>
#include <string>

#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/config/answers.h"
#include "common/config/ranges.h"
#include "common/config/stage_info.h"
#include "common/config/validate_stage.h"
#include "common/config/validate_texts.h"

namespace reckon {
namespace {

absl::Status CheckTraining(absl::string_view prefix, const TrainingSettings& training) {
  if (training.min_learning_rate() <= training.learning_rate()) return absl::OkStatus();
  return InvalidKey(absl::StrCat(prefix, ".min_learning_rate"), training.min_learning_rate(),
                    " is above learning_rate ", training.learning_rate(),
                    "; lower it to at most that");
}

// The sets of a mixture, in place of data.train and data.eval.
absl::Status CheckSets(const DataSettings& data) {
  if (!data.train().empty() || !data.eval().empty()) {
    return InvalidKey(data.train().empty() ? "data.eval" : "data.train",
                      "is one set, and data.set lists several; remove one of the two");
  }
  std::set<std::string> names;
  const MixtureSet* trained = nullptr;  // the first
  bool evaluates = false;
  for (int i = 0; i < data.set_size(); ++i) {
    const MixtureSet& set = data.set(i);
    const std::string key = absl::StrCat("data.set[", i, "]");
    if (!names.insert(set.name()).second) {
      return InvalidKey(key + ".name", "'", set.name(), "' is the name of another set");
    }
    if (set.train().empty() && set.eval().empty()) {
      return InvalidKey(key, "has no data; set its train, its eval or both");
    }
    // A set that is only evaluated has no share to give.
    if (!set.train().empty()) {
      if (trained == nullptr) trained = &set;
      if ((set.share() > 0) != (trained->share() > 0)) {
        return InvalidKey(key + ".share", "give a share to all sets that have a train, or to none");
      }
    }
    evaluates |= !set.eval().empty() || data.validation_fraction() > 0;
  }
  if (trained == nullptr) {
    return InvalidKey("data.set", "no set has problems to train on; set a train");
  }
  if (evaluates) return absl::OkStatus();
  return InvalidKey("data.set", "no set has problems to evaluate on; set an eval, or ",
                    "data.validation_fraction to hold out a part of each train");
}

absl::Status CheckSources(const DataSettings& data) {
  if (data.set_size() > 0) return CheckSets(data);
  if (data.train().empty()) {
    return InvalidKey("data.train", "is required; set it to a path (--set data.train=PATH) or to ",
                      "builtin");
  }
  const bool held_out = data.validation_fraction() > 0;
  if (held_out && (!data.eval().empty() || data.train() == "builtin")) {
    return InvalidKey("data.validation_fraction",
                      "holds out a part of the file data.train for evaluation; set either this or ",
                      "data.eval");
  }
  if (data.eval().empty() && data.train() != "builtin" && !held_out) {
    return InvalidKey("data.eval", "is required; set it to a file or to builtin, or set ",
                      "data.validation_fraction to hold out a part of data.train");
  }
  return absl::OkStatus();
}

absl::Status CheckData(const DataSettings& data) {
  RETURN_IF_ERROR(CheckSources(data));
  if (data.format() != DataSettings::CHAT &&
      !(data.system_prompt().empty() && data.chat_template_kwargs().empty())) {
    return InvalidKey(
        data.system_prompt().empty() ? "data.chat_template_kwargs" : "data.system_prompt",
        "is for data.format CHAT; remove it, or set CHAT");
  }
  const BuiltinProblems& builtin = data.builtin();
  if (builtin.min_steps() <= builtin.max_steps()) return absl::OkStatus();
  return InvalidKey("data.builtin.max_steps", builtin.max_steps(), " is below min_steps ",
                    builtin.min_steps(), "; raise it to at least that");
}

absl::Status CheckEval(const EvalSettings& eval) {
  if (eval.samples() > 1 && eval.temperature() == 0) {
    return InvalidKey("eval.temperature", "0 makes the ", eval.samples(),
                      " samples of a problem equal; set it above 0, or eval.samples to 0");
  }
  return CheckVerdictReward("eval.reward", eval.reward());
}

absl::Status CheckBestMetric(const RunConfig& config) {
  const std::string& metric = config.best_metric();
  const bool reranked = metric == "rerank@K" || metric == "rerank_weighted@K";
  if (metric != "maj@1" && metric != "maj@K" && metric != "pass@K" && !reranked) {
    return InvalidKey("best_metric", "'", metric, "' is not one of maj@1, maj@K, pass@K, rerank@K ",
                      "and rerank_weighted@K");
  }
  if (metric != "maj@1" && config.eval().samples() == 0) {
    return InvalidKey("best_metric", metric, " needs samples; set eval.samples above 0");
  }
  if (reranked && config.eval().orm().empty()) {
    return InvalidKey("best_metric", metric, " needs a reward model; set eval.orm");
  }
  return absl::OkStatus();
}

// The model comes from model.path, or the first stage creates it.
absl::Status CheckModel(const RunConfig& config) {
  const std::string& path = config.model().path();
  for (int i = 0; i < config.stage_size(); ++i) {
    const StageInfo info(config.stage(i));
    if (!info.traits().creates_model()) continue;
    const std::string key = absl::StrCat("stage[", i, "].", info.kind());
    if (i > 0) {
      return InvalidKey(key, "must be the first stage, because it creates the model; move it to ",
                        "the front");
    }
    if (path.empty()) return absl::OkStatus();
    return InvalidKey("model.path", "'", path, "' is one model and ", key,
                      " creates another; remove one of them");
  }
  if (!path.empty()) return absl::OkStatus();
  return InvalidKey("model.path", "is required; set it to a Hugging Face folder (--set ",
                    "model.path=DIR), or create a model with a first stage { init {} }");
}

absl::Status CheckStages(const RunConfig& config) {
  if (config.stage().empty()) {
    return InvalidKey("stage", "is required; add at least one, as in stage { sft {} }");
  }
  std::set<std::string> names;
  for (int i = 0; i < config.stage_size(); ++i) {
    const Stage& stage = config.stage(i);
    const std::string key = absl::StrCat("stage[", i, "]");
    if (StageInfo(stage).kind().empty()) {
      return InvalidKey(key, "has no kind; add ", KindsWith([](const StageKind&) { return true; }),
                        ", as in stage { sft {} }");
    }
    if (!names.insert(stage.name()).second) {
      return InvalidKey(key + ".name", "'", stage.name(),
                        "' is the name of an earlier stage; names must differ");
    }
    RETURN_IF_ERROR(CheckTexts(config, stage, key, i));
    if (stage.has_training()) RETURN_IF_ERROR(CheckTraining(key + ".training", stage.training()));
    RETURN_IF_ERROR(CheckStage(key, stage));
  }
  return absl::OkStatus();
}

absl::Status CheckSharding(const RunConfig& config) {
  const uint32_t ranks = config.resources().learner_ranks(),
                 shards = config.learner().shard_ranks();
  if (config.learner().sharding() != LearnerSettings::HYBRID ||
      (shards > 0 && ranks % shards == 0)) {
    return absl::OkStatus();
  }
  return InvalidKey("learner.shard_ranks", shards, " does not divide resources.learner_ranks ",
                    ranks, "; set it to the ranks of one machine, or learner.sharding to FULL");
}

}  // namespace

absl::Status ValidateConfig(const RunConfig& config) {
  RETURN_IF_ERROR(CheckRanges(config));
  RETURN_IF_ERROR(CheckModel(config));
  RunConfig shared = config;
  shared.clear_stage();
  RETURN_IF_ERROR(CheckTexts(config, shared, "", config.stage_size()));
  RETURN_IF_ERROR(CheckData(config.data()));
  RETURN_IF_ERROR(CheckAnswers(config));
  RETURN_IF_ERROR(CheckSharding(config));
  const std::string& listen = config.coordinator().listen();
  if (const absl::Status status = ParseHostPort(listen).status(); !status.ok()) {
    return InvalidKey("coordinator.listen", status.message());
  }
  RETURN_IF_ERROR(CheckTraining("training", config.training()));
  RETURN_IF_ERROR(CheckEval(config.eval()));
  RETURN_IF_ERROR(CheckBestMetric(config));
  return CheckStages(config);
}

}  // namespace reckon
