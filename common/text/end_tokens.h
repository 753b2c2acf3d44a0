#ifndef RECKON_COMMON_TEXT_END_TOKENS_H_
#define RECKON_COMMON_TEXT_END_TOKENS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/text/tokenizer.h"
#include "proto/weights.pb.h"

namespace reckon {

// The tokens with which a model's texts end, as its files name them.
struct EndTokens {
  // Every one, once: generation_config.json's, at which transformers' generate stops, then
  // config.json's, which it takes where there is no generation_config.json, then the tokenizer's.
  std::vector<uint32_t> ids;
  // eos_token of tokenizer_config.json: what fine-tuning with other tools puts at the end of a
  // text.
  std::optional<uint32_t> of_tokenizer;
};

// Ids that the tokenizer does not have are left out. INVALID_ARGUMENT: a file is not a JSON object,
// or its eos_token_id is neither a token id nor a list of them.
absl::StatusOr<EndTokens> FindEndTokens(const FolderTexts& model, const Tokenizer& tokenizer);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_END_TOKENS_H_
