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

// Text to token ids and back, as the `tokenizers` package does for the same tokenizer.json, or the
// `sentencepiece` package for the same tokenizer.model. Immutable after Create, so any thread may
// use it.
class Tokenizer {
 public:
  // Contents of tokenizer.json and of tokenizer.model; of a model that has both (Llama 2) the
  // latter counts. INVALID_ARGUMENT names the field and what is wrong; UNIMPLEMENTED names a
  // component (pre-tokeniser pattern, normaliser) that Reckon does not know.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view tokenizer_json,
                                                           absl::string_view tokenizer_model = "");
  virtual ~Tokenizer() = default;

  // A piece of a text, with nothing added in front or behind. Special tokens written in it become
  // their ids when `parse_special`; otherwise they are ordinary text. Any bytes are accepted; one
  // that the vocabulary has no token for is dropped.
  virtual std::vector<uint32_t> Encode(absl::string_view text, bool parse_special = true) const = 0;
  // The beginning of a text: behind what the tokenizer puts there, which is nothing, Llama 3's
  // <|begin_of_text|>, or Llama 2's <s> and space. Special tokens in it are ordinary text.
  virtual std::vector<uint32_t> EncodeBeginning(absl::string_view text) const = 0;
  // Special tokens are left out when `skip_special`. Ids out of range are skipped.
  virtual std::string Decode(absl::Span<const uint32_t> ids, bool skip_special = true) const = 0;
  // The bytes one id stands for; Decode is their concatenation, before UTF-8 repair. Empty for
  // special tokens and ids out of range.
  virtual absl::string_view TokenBytes(uint32_t id) const = 0;
  virtual std::optional<uint32_t> TokenId(absl::string_view token) const = 0;
  virtual size_t vocab_size() const = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_TOKENIZER_H_
