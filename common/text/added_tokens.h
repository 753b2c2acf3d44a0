#ifndef RECKON_COMMON_TEXT_ADDED_TOKENS_H_
#define RECKON_COMMON_TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace reckon {

// A trie that finds the added tokens of a vocabulary in a text. Filled by one thread, then
// immutable. A search takes at most (length of the text) x (length of the longest token) steps.
class AddedTokenTrie {
 public:
  struct Match {
    size_t start, length;
    uint32_t id;
  };

  // `content` must not be empty.
  void Add(absl::string_view content, uint32_t id);

  // Returns the leftmost match that starts at `from` or later, and the longest of these.
  std::optional<Match> Find(absl::string_view text, size_t from) const;

 private:
  static constexpr uint32_t kNoId = 0xffffffff;

  std::vector<uint32_t> ids_ = {kNoId};               // by node; node 0 is the root
  absl::flat_hash_map<uint64_t, uint32_t> children_;  // by node << 8 | byte
  std::array<bool, 256> starts_ = {};                 // bytes that an entry starts with
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_ADDED_TOKENS_H_
