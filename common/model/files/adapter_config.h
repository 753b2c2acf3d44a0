#ifndef RECKON_COMMON_MODEL_FILES_ADAPTER_CONFIG_H_
#define RECKON_COMMON_MODEL_FILES_ADAPTER_CONFIG_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// The adapter_config.json of PEFT (huggingface.co/docs/peft) for low-rank adapters: what is needed
// to apply adapter_model.safetensors to the base model.
struct AdapterConfig {
  std::string base;  // base_model_name_or_path: a folder, or a name on the Hugging Face hub
  int64_t rank = 8;
  double alpha = 8;
  bool rank_stabilised = false;  // the scale is alpha / sqrt(rank), not alpha / rank
  // Ranks and alphas of single layers, by their names or the ends of them: "layers.0.mlp.up_proj".
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::vector<std::string> target_modules;  // "q_proj"; written, and not needed to read

  int64_t RankOf(absl::string_view layer) const;
  // What the product of B and A is multiplied by.
  double ScaleOf(absl::string_view layer) const;

  // `path` is for errors only. INVALID_ARGUMENT names the field; UNIMPLEMENTED names an adapter of
  // another kind than LoRA, or an option of PEFT that changes what the tensors mean.
  static absl::StatusOr<AdapterConfig> Parse(const std::string& path, absl::string_view json);
  // The file that PEFT reads the same adapter from.
  std::string Format() const;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_ADAPTER_CONFIG_H_
