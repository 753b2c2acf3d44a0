#include "common/model/files/shard_index.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/model/files/safetensors.h"
#include "common/text/json.h"

namespace reckon {

absl::StatusOr<std::map<std::string, std::string>> ParseShardIndex(const std::string& path,
                                                                   absl::string_view text) {
  auto wrong = [&](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what...));
  };
  absl::StatusOr<nlohmann::json> json = ParseJson(text);
  if (!json.ok()) return wrong(json.status().message());
  absl::StatusOr<const nlohmann::json*> map = GetObject(*json, "weight_map");
  if (!map.ok()) return wrong(map.status().message());
  if ((*map)->empty() || (*map)->size() > kMaxTensors) {
    return wrong("weight_map: must have 1 to ", kMaxTensors, " tensors");
  }
  std::map<std::string, std::string> out;
  for (const auto& [tensor, shard] : (*map)->items()) {
    if (tensor.empty() || tensor.size() > kMaxTensorName)
      return wrong("weight_map: a tensor's name has 0 or more than ", kMaxTensorName, " bytes");
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    // Only a plain name: an index must not make us read files of other folders.
    if (!absl::EndsWith(name, ".safetensors") || absl::StrContains(name, "/") ||
        Printable(name, 255) != name) {
      return wrong("weight_map.", Printable(tensor), ": must be the name of a .safetensors file");
    }
    out[tensor] = name;
  }
  return out;
}

}  // namespace reckon
