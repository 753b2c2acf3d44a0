#ifndef RECKON_TESTS_SUPPORT_ODD_MODEL_H_
#define RECKON_TESTS_SUPPORT_ODD_MODEL_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/rng.h"
#include "common/model/transformer.h"
#include "learner/data/training_sequence.h"
#include "tests/support/random_weights.h"

namespace reckon {

// For tests of ranks that divide a model: one of sizes that two, three and four do not divide, and
// what it learns from.
struct OddModel {
  bool tied = true;
  Backend backend = Backend::kCpuKernels;
  Dtype dtype = Dtype::kFp32;
  bool detach = false;  // of the critic
};

inline ModelConfig OddConfig(bool tied) {
  ModelConfig config = SmallConfig();
  config.num_layers = 3;
  config.hidden_size = config.intermediate_size = 50;
  config.tie_word_embeddings = tied;
  config.qkv_bias = config.qk_norm = !tied;
  return config;
}

inline std::unique_ptr<Transformer> LoadOddModel(const RandomWeights& weights, const OddModel& of,
                                                 const ModelMemory& memory, bool trainable = true) {
  auto model = std::make_unique<Transformer>(OddConfig(of.tied), of.dtype, of.backend, memory);
  EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, trainable).ok());
  return model;
}

inline std::vector<TrainingSequence> SomeSequences(int count, uint64_t seed) {
  const CounterRng rng(seed);
  uint64_t draw = 0;
  std::vector<TrainingSequence> sequences;
  for (int i = 0; i < count; ++i) {
    std::vector<uint32_t> prompt(1 + rng.Below(20, draw++)), completion(1 + rng.Below(30, draw++));
    for (uint32_t& token : prompt) token = rng.Below(99, draw++);
    for (uint32_t& token : completion) token = rng.Below(99, draw++);
    sequences.push_back(MakeSequence(prompt, completion));
  }
  return sequences;
}

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_ODD_MODEL_H_
