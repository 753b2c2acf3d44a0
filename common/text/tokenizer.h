#ifndef RECKON_COMMON_TEXT_TOKENIZER_H_
#define RECKON_COMMON_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// Converts text to token ids and back, as the `tokenizers` package does for the same tokenizer.json
// or the `sentencepiece` package for the same tokenizer.model. Immutable and thread-safe.
class Tokenizer {
 public:
  // Takes the contents of tokenizer.json and tokenizer.model. If a model has both (Llama 2), the
  // latter is used. INVALID_ARGUMENT names the field and what is wrong with it; UNIMPLEMENTED names
  // an unknown component (pre-tokeniser pattern, normaliser).
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view tokenizer_json,
                                                           absl::string_view tokenizer_model = "");
  virtual ~Tokenizer() = default;

  // Encodes text without adding anything at its ends. With `parse_special`, special tokens that are
  // spelled in it become their ids; otherwise they are ordinary text. Accepts any bytes; a byte
  // without a token in the vocabulary is dropped.
  virtual std::vector<uint32_t> Encode(absl::string_view text, bool parse_special = true) const = 0;
  // Encodes the beginning of a text, with what the tokenizer adds before it: nothing, Llama 3's
  // <|begin_of_text|>, or Llama 2's <s> and a space. Special tokens in it are ordinary text.
  virtual std::vector<uint32_t> EncodeBeginning(absl::string_view text) const = 0;
  // Skips ids out of range and, with `skip_special`, special tokens.
  virtual std::string Decode(absl::Span<const uint32_t> ids, bool skip_special = true) const = 0;
  // Returns the bytes of one token. Decode concatenates them and repairs UTF-8. Empty for special
  // tokens and ids out of range.
  virtual absl::string_view TokenBytes(uint32_t id) const = 0;
  virtual std::optional<uint32_t> TokenId(absl::string_view token) const = 0;
  virtual size_t vocab_size() const = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_TOKENIZER_H_
