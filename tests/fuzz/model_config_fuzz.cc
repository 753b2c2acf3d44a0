// A config.json that is accepted has a shape whose products fit and angles that are numbers.
#include <cmath>

#include "common/model/config.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto config = ModelConfig::Parse(TextOf(data, size));
  if (!config.ok()) return CheckRefusal(config.status()), 0;
  CHECK(config->num_layers >= 1 && config->num_layers <= 1024);
  CHECK(config->num_heads % config->num_kv_heads == 0);
  CHECK(config->head_dim > 0 && config->head_dim % 2 == 0);
  int64_t bytes = 4;
  for (int64_t factor : {config->hidden_size, std::max(config->vocab_size, config->num_heads)}) {
    CHECK(!__builtin_mul_overflow(bytes, factor, &bytes));
  }
  for (float frequency : config->RopeFrequencies()) {
    CHECK(std::isfinite(frequency * static_cast<float>(config->max_positions)));
  }
  return 0;
}
