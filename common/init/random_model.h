#ifndef RECKON_COMMON_INIT_RANDOM_MODEL_H_
#define RECKON_COMMON_INIT_RANDOM_MODEL_H_

#include <cstdint>

#include "common/weights/model_folder.h"
#include "proto/weights.pb.h"

namespace reckon {

// Shape of a Llama model whose weights are drawn.
struct RandomModelShape {
  int64_t hidden_size = 64;
  int64_t intermediate_size = 128;
  int64_t num_layers = 2;
  int64_t num_heads = 4;
  int64_t num_kv_heads = 2;
  int64_t vocab_size = 259;
  int64_t max_positions = 2048;
  bool tie_word_embeddings = true;
};

// config.json and the tensors of such a model, laid out, without digests. Ids 0..2 of the
// vocabulary are <|endoftext|>, <|im_start|> and <|im_end|>, the end of a sample.
WeightManifest RandomModelManifest(const RandomModelShape& shape);

// Draws what `manifest` lists, in bf16, each number a function of (seed, tensor name, index), and
// fills in the digests. Uniform: matrices with the variance 1 / inputs (LeCun et al. 1998), the
// embedding small so that the first distribution over tokens is nearly flat, norms around one.
Weights DrawWeights(WeightManifest manifest, uint64_t seed);

}  // namespace reckon

#endif  // RECKON_COMMON_INIT_RANDOM_MODEL_H_
