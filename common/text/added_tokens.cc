#include "common/text/added_tokens.h"

#include "common/base/log.h"

namespace reckon {

void AddedTokenTrie::Add(absl::string_view content, uint32_t id) {
  CHECK(!content.empty());
  starts_[static_cast<uint8_t>(content[0])] = true;
  uint32_t node = 0;
  for (char c : content) {
    const uint64_t edge = uint64_t{node} << 8 | static_cast<uint8_t>(c);
    auto [child, is_new] = children_.try_emplace(edge, static_cast<uint32_t>(ids_.size()));
    if (is_new) ids_.push_back(kNoId);
    node = child->second;
  }
  ids_[node] = id;
}

std::optional<AddedTokenTrie::Match> AddedTokenTrie::Find(absl::string_view text,
                                                          size_t from) const {
  for (size_t start = from; start < text.size(); ++start) {
    if (!starts_[static_cast<uint8_t>(text[start])]) continue;
    std::optional<Match> longest;
    uint32_t node = 0;
    for (size_t at = start; at < text.size(); ++at) {
      auto child = children_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[at]));
      if (child == children_.end()) break;
      node = child->second;
      if (ids_[node] != kNoId) longest = Match{start, at + 1 - start, ids_[node]};
    }
    if (longest.has_value()) return longest;
  }
  return std::nullopt;
}

}  // namespace reckon
