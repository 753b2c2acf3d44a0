#ifndef RECKON_LEARNER_UPDATE_CRITIC_H_
#define RECKON_LEARNER_UPDATE_CRITIC_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "common/model/top_layers.h"
#include "learner/update/micro_batch.h"
#include "learner/update/value_head.h"

namespace reckon {

// The values of PPO: a head on the policy's last hidden state, or on the last of the critic's own
// copies of the policy's top layers (paper: 4; trlX: num_value_layers_unfrozen), which read the
// policy's residual stream below them. One thread.
class Critic {
 public:
  // `layers` 0: the head alone. `detach`: the critic's gradient stops where the policy's states
  // enter it.
  Critic(const Transformer& policy, int64_t layers, bool detach, uint64_t seed);
  // For states of any origin: the head alone.
  Critic(int64_t hidden_size, bool detach, uint64_t seed, c10::Device device);

  // The own layers start as those of this model.
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes);
  // Of the loss tokens [n] fp32, differentiable. `states` asked for with tap_layer().
  at::Tensor Values(const MicroBatch& micro, const TokenStates& states);
  int64_t tap_layer() const { return layers_.has_value() ? layers_->first_layer() : kNoTap; }

  // fp32 leaves. Call Repack after they changed.
  NamedTensors parameters() const;
  void Repack();

 private:
  const bool detach_;
  const ValueHead head_;
  std::optional<TopLayers> layers_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_CRITIC_H_
