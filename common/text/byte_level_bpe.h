#ifndef RECKON_COMMON_TEXT_BYTE_LEVEL_BPE_H_
#define RECKON_COMMON_TEXT_BYTE_LEVEL_BPE_H_

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/text/added_tokens.h"
#include "common/text/bpe.h"
#include "common/text/pre_tokenizer.h"
#include "common/text/tokenizer.h"

namespace reckon {

// Byte-level BPE over parts that Tokenizer::Create has checked. Immutable.
//
// A byte whose letter is not in the vocabulary has no id and is dropped, as the `tokenizers`
// package does (SmolLM2 lacks six control characters, and bytes that no UTF-8 text has).
class ByteLevelBpe final : public Tokenizer {
 public:
  static constexpr uint32_t kNoId = std::numeric_limits<uint32_t>::max();

  struct Parts {
    PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
    bool nfc = false;                                // text is normalised first
    bool ignore_merges = false;                      // a word that is a token needs no merges
    uint32_t model_size = 0;                         // ids from here on are of added tokens only
    absl::flat_hash_map<std::string, uint32_t> ids;  // by the spelling in tokenizer.json
    std::vector<std::string> bytes;                  // by id: what Decode writes
    std::vector<bool> special;                       // by id
    std::array<uint32_t, 256> byte_ids;              // kNoId where the vocabulary has none
    BpeMerges merges;
    std::optional<uint32_t> bos;  // begins a text
    // The package looks for those of its second kind ("normalized") only in what the first left.
    AddedTokenTrie first_added, second_added;
  };

  explicit ByteLevelBpe(Parts parts) : parts_(std::move(parts)) {}

  std::vector<uint32_t> Encode(absl::string_view text, bool parse_special) const override;
  std::vector<uint32_t> EncodeBeginning(absl::string_view text) const override;
  std::string Decode(absl::Span<const uint32_t> ids, bool skip_special) const override;
  absl::string_view TokenBytes(uint32_t id) const override;
  std::optional<uint32_t> TokenId(absl::string_view token) const override;
  size_t vocab_size() const override { return parts_.bytes.size(); }

 private:
  struct Work;  // what one call of Encode writes

  void EncodeAround(const AddedTokenTrie& added, absl::string_view text, Work* work) const;
  void EncodeText(absl::string_view text, Work* work) const;
  void EncodeWord(absl::string_view word, Work* work) const;

  const Parts parts_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_BYTE_LEVEL_BPE_H_
