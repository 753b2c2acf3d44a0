#ifndef RECKON_TESTS_SUPPORT_RANDOM_WEIGHTS_H_
#define RECKON_TESTS_SUPPORT_RANDOM_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "common/model/config.h"
#include "proto/weights.pb.h"

namespace reckon {

// A shape that no kernel's tiles divide, for tests of the engine: 99 tokens, 2 layers of 48 lanes,
// 3 query heads that share one kv head.
ModelConfig SmallConfig();
// The same with all that a family may have.
ModelConfig AllOptions();
// The same with heads of 64, which FlashInfer's kernel attends with in bf16.
ModelConfig WideHeads();

// fp32 weights of any family's shape, spread widely enough that an error in any operation shows.
// A test may change them.
struct RandomWeights {
  WeightManifest manifest;  // without digests
  std::vector<char> bytes;
};
RandomWeights MakeRandomWeights(const ModelConfig& config, uint64_t seed);

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_RANDOM_WEIGHTS_H_
