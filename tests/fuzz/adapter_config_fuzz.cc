// An adapter_config.json that is accepted has a rank and a scale that are numbers, and is written
// as one that is read as the same.
#include <cmath>

#include "common/model/files/adapter_config.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto config = AdapterConfig::Parse("adapter_config.json", TextOf(data, size));
  if (!config.ok()) return CheckRefusal(config.status()), 0;
  CHECK(config->RankOf("model.layers.0.mlp.up_proj") >= 1);
  CHECK(std::isfinite(config->ScaleOf("model.layers.0.mlp.up_proj")));
  const auto again = AdapterConfig::Parse("again", config->Format());
  CHECK(again.ok()) << again.status();
  CHECK(again->rank == config->rank && again->alpha == config->alpha);
  CHECK(again->rank_stabilised == config->rank_stabilised);
  return 0;
}
