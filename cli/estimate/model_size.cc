#include "cli/estimate/model_size.h"

#include "absl/strings/match.h"
#include "common/config/stage_info.h"

namespace reckon {
namespace {

double Elements(const TensorEntry& tensor) {
  double count = 1;
  for (int64_t n : tensor.shape()) count *= static_cast<double>(n);
  return count;
}

bool HasCritic(const StageInfo& info) {
  const auto* advantage = info.Part<PpoSettings::Advantage>();
  return info.Part<PpoSettings::Critic>() != nullptr && advantage != nullptr &&
         advantage->estimator() == PpoSettings::Advantage::GAE;
}

}  // namespace

double ParameterCount(const ModelConfig& m) {
  double count = 0;
  for (const TensorEntry& tensor : m.Tensors()) count += Elements(tensor);
  return count;
}

double LayerCount(const ModelConfig& m) {
  double count = 0;
  for (const TensorEntry& tensor : m.Tensors()) {
    if (absl::StartsWith(tensor.name(), "model.layers.")) count += Elements(tensor);
  }
  return count / static_cast<double>(m.num_layers);
}

double TableCount(const ModelConfig& m) {
  return static_cast<double>(m.vocab_size) * static_cast<double>(m.hidden_size);
}

double AdapterCount(const ModelConfig& m, double rank) {
  double sides = 0;
  for (const TensorEntry& tensor : m.Tensors()) {
    if (!absl::EndsWith(tensor.name(), "_proj.weight")) continue;
    sides += static_cast<double>(tensor.shape(0) + tensor.shape(1));
  }
  return rank * sides;
}

TrainedElements TrainedBy(const Stage& stage, const ModelConfig& m) {
  const StageInfo info(stage);
  TrainedElements trained;
  if (!info.trains()) return trained;
  const double rank = stage.training().lora_rank();
  (rank > 0 ? trained.adapters : trained.weights) =
      rank > 0 ? AdapterCount(m, rank) : ParameterCount(m);
  const auto h = static_cast<double>(m.hidden_size);
  if (info.traits().trains() == StageKind::REWARD_MODEL) trained.head = h + 1;
  if (HasCritic(info)) {
    trained.critic_layers = info.Part<PpoSettings::Critic>()->layers() * LayerCount(m);
    trained.head = 2 * h * h + 2 * h + 2 * h + 1;  // two linear layers with a bias
  }
  return trained;
}

double ComputeBytes(const RunConfig& config) {
  return config.model().compute() == ModelSettings::FP32 ? 4 : 2;
}

double VersionBytes(const RunConfig& config, const ModelConfig& m) {
  return ComputeBytes(config) * ParameterCount(m);
}

double ForwardBytes(const RunConfig& config, const ModelConfig& m) {
  return ComputeBytes(config) * (ParameterCount(m) + (m.tie_word_embeddings ? TableCount(m) : 0));
}

}  // namespace reckon
