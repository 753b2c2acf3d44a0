#ifndef RECKON_TESTS_SUPPORT_THIN_SHAPE_H_
#define RECKON_TESTS_SUPPORT_THIN_SHAPE_H_

#include <cstdint>

#include "common/model/config.h"

namespace reckon {

// A model of which estimates can be checked by hand: hidden 8, heads 2 of 4, one for keys and
// values. A layer has 8*8 + 2*8*4 + 8*8 (attention) + 3*8*16 (mlp) + 2*8 (norms) = 592 parameters,
// the tied table 100 * 8, the last norm 8.
inline ModelConfig ThinShape(int64_t layers) {
  ModelConfig m;
  m.vocab_size = 100;
  m.hidden_size = 8;
  m.intermediate_size = 16;
  m.num_layers = layers;
  m.num_heads = 2;
  m.num_kv_heads = 1;
  m.head_dim = 4;
  m.tie_word_embeddings = true;
  return m;
}

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_THIN_SHAPE_H_
