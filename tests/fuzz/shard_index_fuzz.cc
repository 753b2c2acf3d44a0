// No index names a file of another folder.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/model/files/shard_index.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto index = ParseShardIndex("model.safetensors.index.json", TextOf(data, size));
  if (!index.ok()) return CheckRefusal(index.status()), 0;
  CHECK(!index->empty());
  for (const auto& [tensor, name] : *index) {
    CHECK(!tensor.empty() && absl::EndsWith(name, ".safetensors"));
    CHECK(!absl::StrContains(name, "/") && !absl::StrContains(name, absl::string_view("\0", 1)));
  }
  return 0;
}
