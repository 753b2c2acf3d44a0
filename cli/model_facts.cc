#include "cli/model_facts.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/init/init_model.h"
#include "common/task/dataset.h"
#include "common/text/json.h"
#include "common/text/tokenizer.h"
#include "common/weights/manifest.h"
#include "common/weights/model_folder.h"
#include "common/weights/safetensors.h"

namespace reckon {
namespace {

absl::Status ReadShape(const std::string& text, ModelFacts* facts) {
  ASSIGN_OR_RETURN(nlohmann::json config, ParseJson(text));
  ASSIGN_OR_RETURN(facts->layers, GetInt(config, "num_hidden_layers"));
  ASSIGN_OR_RETURN(facts->hidden, GetInt(config, "hidden_size"));
  ASSIGN_OR_RETURN(facts->intermediate, GetInt(config, "intermediate_size"));
  ASSIGN_OR_RETURN(facts->vocab, GetInt(config, "vocab_size"));
  ASSIGN_OR_RETURN(int64_t heads, GetInt(config, "num_attention_heads"));
  ASSIGN_OR_RETURN(facts->kv_heads, GetIntOr(config, "num_key_value_heads", heads));
  if (heads < 1) return absl::InvalidArgumentError("num_attention_heads: is below 1");
  ASSIGN_OR_RETURN(facts->head_dim, GetIntOr(config, "head_dim", facts->hidden / heads));
  ASSIGN_OR_RETURN(facts->max_positions, GetIntOr(config, "max_position_embeddings", 0));
  return absl::OkStatus();
}

// A label is one token, so that no sample can hold a part of it.
absl::Status CheckLabels(const RunConfig& config, const WeightManifest& model) {
  for (int i = 0; i < config.stage_size(); ++i) {
    if (!config.stage(i).has_rcrl()) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                     Tokenizer::Create(model.tokenizer_json(), model.tokenizer_model()));
    const RcrlSettings& rcrl = config.stage(i).rcrl();
    for (const auto& [key, label] :
         {std::pair("good_label", rcrl.good_label()), std::pair("bad_label", rcrl.bad_label())}) {
      const size_t tokens = tokenizer->Encode(label, /*parse_special=*/true).size();
      if (tokens == 1) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("stage[", i, "].rcrl.", key, ": the tokenizer splits '", label, "' into ",
                       tokens, " tokens; choose a label that is one"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRewardModel(const std::string& key, const std::string& orm,
                              const WeightManifest& model) {
  if (orm.find('/') == std::string::npos) return absl::OkStatus();  // of a stage of this run
  absl::StatusOr<WeightManifest> manifest = ReadModelManifest(orm);
  if (!manifest.ok()) {
    return absl::Status(manifest.status().code(),
                        absl::StrCat(key, ": ", manifest.status().message()));
  }
  if (SameTokens(*manifest, model)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": ", orm, " has another tokenizer than the policy; train a reward model ",
                   "from the policy with an orm stage"));
}

// Reward models from folders have to be of this policy.
absl::Status CheckRewardModels(const RunConfig& config, const WeightManifest& model) {
  RETURN_IF_ERROR(CheckRewardModel("eval.orm", config.eval().orm(), model));
  for (int i = 0; i < config.stage_size(); ++i) {
    const Stage& stage = config.stage(i);
    const std::string key = absl::StrCat("stage[", i, "].");
    RETURN_IF_ERROR(CheckRewardModel(key + "rcrl.orm", stage.rcrl().orm(), model));
    for (const RewardSettings& reward : stage.ei().reward()) {
      RETURN_IF_ERROR(CheckRewardModel(key + "ei.reward.orm", reward.orm(), model));
    }
    for (const RewardSettings& reward : stage.ppo().reward()) {
      RETURN_IF_ERROR(CheckRewardModel(key + "ppo.reward.orm", reward.orm(), model));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelFacts> InspectModel(const RunConfig& config) {
  const std::string& path = config.model().path();
  absl::StatusOr<WeightManifest> manifest =
      HasInit(config) ? InitManifest(config) : ReadModelManifest(path);
  if (!manifest.ok()) {
    if (HasInit(config)) return manifest.status();
    return absl::Status(manifest.status().code(),
                        absl::StrCat("model.path: ", manifest.status().message()));
  }
  RETURN_IF_ERROR(CheckLabels(config, *manifest));
  RETURN_IF_ERROR(CheckRewardModels(config, *manifest));
  ModelFacts facts;
  if (absl::Status shape = ReadShape(manifest->config_json(), &facts); !shape.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.path: ", path, "/config.json: ", shape.message()));
  }
  facts.weight_bytes = manifest->total_bytes();
  for (const TensorEntry& tensor : manifest->tensors()) {
    facts.parameters += static_cast<int64_t>(*TensorBytes(tensor) / *DtypeBytes(tensor.dtype()));
  }
  return facts;
}

absl::StatusOr<DataFacts> InspectData(const RunConfig& config) {
  DataFacts facts;
  ASSIGN_OR_RETURN(std::vector<Problem> train, LoadProblems(config.data(), Split::kTrain));
  ASSIGN_OR_RETURN(std::vector<Problem> eval, LoadProblems(config.data(), Split::kEval));
  facts.train = static_cast<int64_t>(train.size());
  facts.eval = static_cast<int64_t>(eval.size());
  if (config.eval().limit() > 0) {
    facts.eval = std::min<int64_t>(facts.eval, config.eval().limit());
  }
  return facts;
}

}  // namespace reckon
