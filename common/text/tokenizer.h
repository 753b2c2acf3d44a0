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

// Text to token ids and back, as the `tokenizers` package does for the same tokenizer.json.
// Immutable after Create, so any thread may use it.
class Tokenizer {
 public:
  // `tokenizer_json`: content of tokenizer.json. INVALID_ARGUMENT names the field and what is
  // wrong; UNIMPLEMENTED names a component (pre-tokeniser pattern, normaliser) that Reckon does not
  // know.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view tokenizer_json);
  virtual ~Tokenizer() = default;

  // Special tokens written in the text become their ids when `parse_special`; otherwise they are
  // ordinary text. Nothing is added in front or behind. Any bytes are accepted; one that the
  // vocabulary has no token for is dropped.
  virtual std::vector<uint32_t> Encode(absl::string_view text, bool parse_special = true) const = 0;
  // Special tokens are left out when `skip_special`. Ids out of range are skipped.
  virtual std::string Decode(absl::Span<const uint32_t> ids, bool skip_special = true) const = 0;
  // The bytes one id stands for; Decode is their concatenation, before UTF-8 repair. Empty for
  // special tokens and ids out of range.
  virtual absl::string_view TokenBytes(uint32_t id) const = 0;
  virtual std::optional<uint32_t> TokenId(absl::string_view token) const = 0;
  virtual size_t vocab_size() const = 0;
  // The token that a text of its own begins with, where the tokenizer.json puts one (Llama 3).
  // Encode leaves it to its caller, since most of what is encoded is a piece of a text.
  virtual std::optional<uint32_t> bos() const = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_TOKENIZER_H_
