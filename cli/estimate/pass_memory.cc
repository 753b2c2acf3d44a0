#include "cli/estimate/pass_memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

// On a GPU the loss holds a tile of logits of this size at a time, in a few copies; on a CPU those
// of so many tokens, and for the backward pass the errors of all tokens, up to so many bytes
// (kernels/cpu/output_head.h).
constexpr double kHeadRows = 4096, kHeadColumns = 8192, kHeadCopies = 4, kHeadBlock = 128;
constexpr double kHeadErrorBytes = 256.0 * (1 << 20);

// Bytes that one layer keeps for the backward pass, per token.
double LayerActivations(const RankStage& s) {
  const ModelConfig& m = s.shape;
  const auto h = static_cast<double>(m.hidden_size),
             inner = static_cast<double>(m.intermediate_size);
  const auto q = static_cast<double>(m.num_heads * m.head_dim),
             kv = static_cast<double>(m.num_kv_heads * m.head_dim);
  // The residual stream at both norms; inputs of the four products; queries, keys, values; gate,
  // up.
  double bytes = 2 * 4 * h + s.compute * (2 * h + q + inner) + s.compute * (q + 2 * kv) +
                 s.compute * 2 * inner + 4 * static_cast<double>(m.num_heads);
  // LibTorch keeps fp32 intermediate results of norms, RoPE and SwiGLU.
  if (!s.on_cpu()) bytes += 2 * 4 * h + 4 * (q + kv) + 2 * 4 * inner;
  return bytes;
}

// Bytes of a loss over `tokens`.
double HeadActivations(const RankStage& s, double tokens) {
  const auto vocabulary = static_cast<double>(s.shape.vocab_size);
  if (!s.on_cpu()) {
    return 4 * kHeadCopies * std::min(tokens, kHeadRows) * std::min(vocabulary, kHeadColumns);
  }
  return 4 * std::min(tokens, kHeadBlock) * vocabulary +
         std::min(tokens * vocabulary * s.compute, kHeadErrorBytes);
}

}  // namespace

MemoryLine TrainingPass(const RankStage& s) {
  const LearnerSettings& learner = s.config.learner();
  const double longest =
      std::min<double>(s.stage.training().max_tokens(), static_cast<double>(s.shape.max_positions));
  const double tokens = std::max<double>(learner.micro_batch_tokens(), longest);
  const double of_layer = tokens * LayerActivations(s);
  // The critic's own layers are as the policy's. Recomputed layers keep the residual stream that
  // enters them.
  const double layers =
      static_cast<double>(s.shape.num_layers) + s.trained.critic_layers / LayerCount(s.shape);
  const bool recompute = learner.activation_checkpointing();
  const double kept =
      layers * (recompute ? tokens * 4 * static_cast<double>(s.shape.hidden_size) : of_layer);
  // The backward pass works on the head and then on one layer at a time, computed again or not,
  // with its gradients.
  const double works = std::max(HeadActivations(s, tokens), (recompute ? 2 : 1) * of_layer);
  return {"activations", kept + works,
          absl::StrCat(longest > learner.micro_batch_tokens() ? "training.max_tokens "
                                                              : "learner.micro_batch_tokens ",
                       tokens, recompute ? ", layers recomputed" : "")};
}

MemoryLine ScoringPass(const RankStage& s) {
  if (!s.evaluates_with_model) return {"activations"};
  const double tokens = s.config.learner().micro_batch_tokens();
  return {"activations", tokens * LayerActivations(s),
          absl::StrCat("of one layer, learner.micro_batch_tokens ", tokens)};
}

// See common/model/sharded_units.h:
//
//   head         gathered and as kernels read it; then with its gradient, while the last layer is
//                gathered; then the gradient on its way to the other ranks
//   layers       one as kernels read it and the next as gathered; two gradients, one that is
//                computed and one on its way
//   embedding    its gradient, that of the first layer on its way, and the first layer
//
// On its way, Gloo holds a gradient twice: also what arrives from the others. Frozen units under
// adapters have none. Activations are added in full: what they took stays with the process when the
// head takes its turn (KeepFreedMemory).
MemoryLine UnitsInUse(const RankStage& s) {
  if (!s.divided() || !s.info.trains()) return {"units in use"};
  const double layer = LayerCount(s.shape), table = TableCount(s.shape);
  const double packed_layer = s.TrainedCopies(layer), packed_table = s.TrainedCopies(table);
  const double gradient = s.adapted() ? 0 : 4, on_way = gradient * (s.on_cpu() ? 2 : 1);
  const double head = std::max({packed_table + s.compute * table,
                                packed_table + s.compute * layer + gradient * table,
                                s.compute * layer + on_way * table});
  const double layers = packed_layer + s.compute * layer + (gradient + on_way) * layer;
  const double embedding =
      packed_layer + std::max(gradient * table + on_way * layer, on_way * table);
  return {"units in use", std::max({head, layers, embedding}),
          "gathered layers and their gradients"};
}

}  // namespace reckon
