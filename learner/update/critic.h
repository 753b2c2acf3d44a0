#ifndef RECKON_LEARNER_UPDATE_CRITIC_H_
#define RECKON_LEARNER_UPDATE_CRITIC_H_

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "common/model/critic_layers.h"
#include "learner/update/micro_batch.h"
#include "learner/update/value_head.h"

namespace reckon {

// Predicts the return of each token for GAE. With L layers of its own:
//
//   L = 0   policy layers -> last hidden state -> value head
//   L > 0   policy's residual stream before its top L layers -> own copies of these layers -> value
//           head (4 in the paper; trlX: num_value_layers_unfrozen)
//
// Its layers take as little memory as the policy's (ModelMemory), so a forward pass may be a
// collective. Owned by the algorithm, which trains parameters() with the policy's. One thread.
class Critic {
 public:
  // `detach`: the critic's gradient stops where the policy's states enter it.
  Critic(const Transformer& policy, int64_t layers, bool detach, uint64_t seed);
  // The value head alone, on states of any origin.
  Critic(int64_t hidden_size, bool detach, uint64_t seed, Backend backend);

  // Copies the top layers of this model into the own layers. Errors as those of Transformer::Load.
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes);
  // The values of the loss tokens, [n] fp32, differentiable. `states`: of a forward pass that was
  // asked for tap_layer().
  at::Tensor Values(const MicroBatch& micro, const TokenStates& states);
  int64_t tap_layer() const { return layers_.has_value() ? layers_->first_layer() : kNoTap; }

  // fp32 leaves, if all of them are on this rank. Call Repack after they changed.
  NamedTensors parameters() const;
  // The same for an optimizer.
  TrainedTensors Trained() const;
  void Repack();

 private:
  const bool detach_;
  ValueHead head_;
  std::optional<CriticLayers> layers_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_CRITIC_H_
