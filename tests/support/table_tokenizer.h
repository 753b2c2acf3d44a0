#ifndef RECKON_TESTS_SUPPORT_TABLE_TOKENIZER_H_
#define RECKON_TESTS_SUPPORT_TABLE_TOKENIZER_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/text/tokenizer.h"

namespace reckon {

// A tokenizer for tests of what reads tokens: token i has the text texts[i], and one without text
// is special. It encodes nothing.
class TableTokenizer : public Tokenizer {
 public:
  explicit TableTokenizer(std::vector<std::string> texts) : texts_(std::move(texts)) {}
  // `count` tokens that have the letters in turn; 259 is the vocabulary of FakeModelRunner.
  static TableTokenizer OfLetters(absl::string_view letters = "abcdefghijklmnopqrstuvwxyz",
                                  size_t count = 259) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < count; ++i) texts.emplace_back(1, letters[i % letters.size()]);
    return TableTokenizer(std::move(texts));
  }

  using Ids = absl::StatusOr<std::vector<uint32_t>>;
  Ids Encode(absl::string_view, bool) const override { return std::vector<uint32_t>(); }
  Ids EncodeBeginning(absl::string_view) const override { return std::vector<uint32_t>(); }
  Ids EncodeWhole(absl::string_view) const override { return std::vector<uint32_t>(); }
  std::string Decode(absl::Span<const uint32_t> ids, bool) const override {
    std::string text;
    for (uint32_t id : ids) absl::StrAppend(&text, TokenBytes(id));
    return text;
  }
  absl::string_view TokenBytes(uint32_t id) const override {
    return id < texts_.size() ? absl::string_view(texts_[id]) : "";
  }
  std::optional<uint32_t> TokenId(absl::string_view) const override { return std::nullopt; }
  size_t vocab_size() const override { return texts_.size(); }

 private:
  const std::vector<std::string> texts_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_TABLE_TOKENIZER_H_
