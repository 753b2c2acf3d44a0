#ifndef RECKON_COMMON_TEXT_TOKENIZER_H_
#define RECKON_COMMON_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// Converts text to token ids and back, by Hugging Face's `tokenizers` library. Implemented by
// tokenizer.cc and by doubles in tests. Immutable and thread-safe.
class Tokenizer {
 public:
  // Takes the contents of tokenizer.json and tokenizer.model. With both the first is used, as
  // `transformers` does; the second is SentencePiece's, see sentence_piece.h. What a file says of
  // truncation, padding and dropout is not applied. INVALID_ARGUMENT names the file and what is
  // wrong with it.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view tokenizer_json,
                                                           absl::string_view tokenizer_model = "");
  virtual ~Tokenizer() = default;

  // Encodes a text that follows another, without adding anything at its ends. With `parse_special`,
  // special tokens that are spelled in it become their ids; otherwise they are ordinary text. Bytes
  // that are not UTF-8 become U+FFFD. INVALID_ARGUMENT when the tokenizer has no ids for the text:
  // it lacks a token for unknown characters, or its patterns take too long.
  virtual absl::StatusOr<std::vector<uint32_t>> Encode(absl::string_view text,
                                                       bool parse_special = true) const = 0;
  // Encodes the beginning of a text, with what the tokenizer adds before it: nothing, Llama 3's
  // <|begin_of_text|>, or Llama 2's <s> and a space. Special tokens in it are ordinary text.
  virtual absl::StatusOr<std::vector<uint32_t>> EncodeBeginning(absl::string_view text) const = 0;
  // Encodes a text that spells all of its special tokens, as a chat template writes it.
  virtual absl::StatusOr<std::vector<uint32_t>> EncodeWhole(absl::string_view text) const = 0;
  // Skips ids out of range and, with `skip_special`, special tokens.
  virtual std::string Decode(absl::Span<const uint32_t> ids, bool skip_special = true) const = 0;
  // Returns the bytes of one token. Decode concatenates them and repairs UTF-8. Empty for special
  // tokens and ids out of range.
  virtual absl::string_view TokenBytes(uint32_t id) const = 0;
  virtual std::optional<uint32_t> TokenId(absl::string_view token) const = 0;
  // One above the largest id. Ids below it may be without a token, see HasToken.
  virtual size_t vocab_size() const = 0;
  virtual bool HasToken(uint32_t id) const { return id < vocab_size(); }
};

// Trains byte-level BPE on texts, with numbers split into digits, and returns at most `count`
// merges in their order, spelled in the letters of byte_alphabet.h. Equal texts give equal merges.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> TrainMerges(
    absl::Span<const std::string> texts, size_t count);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_TOKENIZER_H_
