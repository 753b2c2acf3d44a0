#ifndef RECKON_TESTS_SUPPORT_TEXT_TOKENIZER_H_
#define RECKON_TESTS_SUPPORT_TEXT_TOKENIZER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/text/tokenizer.h"

namespace reckon {

// A tokenizer for tests of what reads tokens: token i has the text texts[i % texts.size()]. It
// encodes every text as no token, and has no token by name.
class TextTokenizer : public Tokenizer {
 public:
  explicit TextTokenizer(std::vector<std::string> texts, size_t vocab_size = 256)
      : texts_(std::move(texts)), vocab_size_(vocab_size) {}

  using Ids = absl::StatusOr<std::vector<uint32_t>>;
  Ids Encode(absl::string_view, bool) const override { return std::vector<uint32_t>(); }
  Ids EncodeBeginning(absl::string_view) const override { return std::vector<uint32_t>(); }
  Ids EncodeWhole(absl::string_view) const override { return std::vector<uint32_t>(); }
  std::string Decode(absl::Span<const uint32_t> ids, bool) const override {
    std::string text;
    for (uint32_t id : ids) text += texts_[id % texts_.size()];
    return text;
  }
  absl::string_view TokenBytes(uint32_t id) const override { return texts_[id % texts_.size()]; }
  std::optional<uint32_t> TokenId(absl::string_view) const override { return std::nullopt; }
  size_t vocab_size() const override { return vocab_size_; }

 private:
  const std::vector<std::string> texts_;
  const size_t vocab_size_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_TEXT_TOKENIZER_H_
