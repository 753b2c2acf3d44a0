#ifndef RECKON_COMMON_INIT_NEW_TOKENIZER_H_
#define RECKON_COMMON_INIT_NEW_TOKENIZER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace reckon {

// Ids of a new vocabulary: three special tokens, the bytes in order, then what the merges make.
inline constexpr uint32_t kNewTokenizerEnd = 2;  // <|im_end|>
inline constexpr uint32_t kNewTokenizerFirstByte = 3;
inline constexpr uint32_t kNewTokenizerBytes = kNewTokenizerFirstByte + 256;

// Content of a tokenizer.json with SmolLM2's pre-tokeniser and these merges (of TrainMerges).
std::string NewTokenizerJson(absl::Span<const std::pair<std::string, std::string>> merges);

// Content of its tokenizer_config.json, with SmolLM2's special tokens and chat template.
std::string NewTokenizerConfigJson();

}  // namespace reckon

#endif  // RECKON_COMMON_INIT_NEW_TOKENIZER_H_
