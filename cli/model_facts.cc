#include "cli/model_facts.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/init/init_model.h"
#include "common/task/dataset.h"
#include "common/text/json.h"
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
