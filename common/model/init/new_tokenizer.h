#ifndef RECKON_COMMON_MODEL_INIT_NEW_TOKENIZER_H_
#define RECKON_COMMON_MODEL_INIT_NEW_TOKENIZER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace reckon {

// The vocabulary of a new tokenizer, by id:
//   0 <|endoftext|>   1 <|im_start|>   2 <|im_end|>, the end of a completion
//   3 .. 258          the bytes in order
//   259 ..            the merges in order
inline constexpr uint32_t kNewTokenizerStart = 1;
inline constexpr uint32_t kNewTokenizerEnd = 2;
inline constexpr uint32_t kNewTokenizerFirstByte = 3;
inline constexpr uint32_t kNewTokenizerBytes = kNewTokenizerFirstByte + 256;  // without merges

// The text of a tokenizer.json: byte-level BPE with these merges (from TrainMerges), after
// SmolLM2's pre-tokeniser, which splits numbers into digits.
std::string NewTokenizerJson(absl::Span<const std::pair<std::string, std::string>> merges);

// The text of its tokenizer_config.json, with SmolLM2's special tokens and chat template.
std::string NewTokenizerConfigJson();

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_INIT_NEW_TOKENIZER_H_
