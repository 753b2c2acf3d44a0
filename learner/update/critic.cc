#include "learner/update/critic.h"

#include <ATen/ops/index_select.h>

#include <memory>

namespace reckon {

Critic::Critic(const Transformer& policy, int64_t layers, bool detach, uint64_t seed)
    : detach_(detach), head_(policy.config().hidden_size, seed, policy.backend()) {
  if (layers == 0) return;
  layers_.emplace(policy.config(), layers, policy.compute(), policy.backend(), policy.memory());
}

Critic::Critic(int64_t hidden_size, bool detach, uint64_t seed, Backend backend)
    : detach_(detach), head_(hidden_size, seed, backend) {}

absl::Status Critic::Load(const WeightManifest& manifest, absl::Span<const char> bytes) {
  return layers_.has_value() ? layers_->Load(manifest, bytes) : absl::OkStatus();
}

at::Tensor Critic::Values(const MicroBatch& micro, const TokenStates& states) {
  if (!layers_.has_value()) return head_.Forward(detach_ ? states.hidden.detach() : states.hidden);
  const std::shared_ptr<AttentionSource> attention =
      PackedAttention(layers_->config(), micro.segments, layers_->backend());
  const at::Tensor hidden = layers_->Forward(detach_ ? states.residual.detach() : states.residual,
                                             micro.positions, *attention);
  // The value of a token is that of the state before it, as its log-probability is: the value must
  // not know the token.
  return head_.Forward(at::index_select(hidden, 0, micro.predicting.to(hidden.device())));
}

NamedTensors Critic::parameters() const {
  NamedTensors out = head_.parameters();
  if (!layers_.has_value()) return out;
  // The layers are named as in the whole model; the prefix keeps them apart from the policy's in a
  // checkpoint.
  for (auto& [name, tensor] : layers_->Parameters()) out.emplace_back("critic." + name, tensor);
  return out;
}

TrainedTensors Critic::Trained() const {
  TrainedTensors out = WholeTensors(head_.parameters());
  if (!layers_.has_value()) return out;
  for (TrainedTensor& trained : layers_->Trained()) {
    for (TensorShape& tensor : trained.tensors) tensor.name = "critic." + tensor.name;
    out.push_back(std::move(trained));
  }
  return out;
}

void Critic::Repack() {
  head_.Repack();
  if (layers_.has_value()) layers_->Repack();
}

}  // namespace reckon
