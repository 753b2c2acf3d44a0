#include "cli/model_facts.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/task/dataset.h"
#include "common/text/json.h"
#include "common/weights/safetensors.h"
#include "common/weights/safetensors_file.h"

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

absl::StatusOr<ModelFacts> InspectModel(const std::string& folder) {
  if (!std::filesystem::is_directory(folder)) {
    return absl::NotFoundError(absl::StrCat("model folder ", folder, " is not there"));
  }
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    if (!std::filesystem::exists(absl::StrCat(folder, "/", name))) {
      return absl::NotFoundError(absl::StrCat("model folder ", folder, " has no ", name));
    }
  }
  ModelFacts facts;
  std::string config_path = folder + "/config.json";
  ASSIGN_OR_RETURN(std::string config, ReadFile(config_path, 1 << 20));
  if (absl::Status status = ReadShape(config, &facts); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(config_path, ": ", status.message()));
  }
  std::string weights_path = folder + "/model.safetensors";
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(weights_path));
  facts.weight_bytes = file.header().data_bytes;
  for (const TensorEntry& tensor : file.header().tensors) {
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
