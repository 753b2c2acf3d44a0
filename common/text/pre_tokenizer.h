#ifndef RECKON_COMMON_TEXT_PRE_TOKENIZER_H_
#define RECKON_COMMON_TEXT_PRE_TOKENIZER_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/json.h"

namespace reckon {

// The known ways to split a text into words. No token spans two words.
enum class PreTokenizer {
  kGpt2,            // ByteLevel with GPT-2's pattern
  kDigitsThenGpt2,  // each numeric character by itself, then GPT-2's pattern between (SmolLM2)
  kLlama3,          // Llama 3's pattern: numbers by up to three characters
  kQwen2,           // the same, but numbers character by character (Qwen2, Qwen2.5, Qwen3)
};

// Reads the "pre_tokenizer" of a tokenizer.json. UNIMPLEMENTED names the unknown part; a guess
// would encode plausible text as wrong ids.
absl::StatusOr<PreTokenizer> ReadPreTokenizer(const nlohmann::json& spec);

// Calls `word` for each word in order; their concatenation is `text`. Linear in the text's length.
void SplitWords(PreTokenizer pre_tokenizer, absl::string_view text,
                absl::FunctionRef<void(absl::string_view)> word);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_PRE_TOKENIZER_H_
