#ifndef RECKON_COMMON_TEXT_PRE_TOKENIZER_H_
#define RECKON_COMMON_TEXT_PRE_TOKENIZER_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/json.h"

namespace reckon {

// The ways of cutting text into words that Reckon knows. No token crosses a word's border.
enum class PreTokenizer {
  kGpt2,            // ByteLevel with GPT-2's pattern
  kDigitsThenGpt2,  // each numeric character by itself, then GPT-2's pattern between (SmolLM2)
  kLlama3,          // Llama 3's pattern: numbers by up to three characters
  kQwen2,           // the same, but for numbers character by character (Qwen2, Qwen2.5, Qwen3)
};

// `spec`: the "pre_tokenizer" of a tokenizer.json. UNIMPLEMENTED names the part that is unknown: a
// guess would give fluent text from wrong ids.
absl::StatusOr<PreTokenizer> ReadPreTokenizer(const nlohmann::json& spec);

// Calls `word` for each word; in order, together they are `text`. Linear in the text.
void SplitWords(PreTokenizer pre_tokenizer, absl::string_view text,
                absl::FunctionRef<void(absl::string_view)> word);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_PRE_TOKENIZER_H_
