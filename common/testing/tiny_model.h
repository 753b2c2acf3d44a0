#ifndef RECKON_COMMON_TESTING_TINY_MODEL_H_
#define RECKON_COMMON_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/weights/model_folder.h"

namespace reckon {

// Shape of a random model for tests. The tokenizer is byte-level: ids 0..2 are <|endoftext|>,
// <|im_start|> and <|im_end|> (the end of a sample), id 3 + b is byte b, so any text is
// representable and nothing merges.
struct TinyModelOptions {
  int64_t hidden_size = 64;
  int64_t intermediate_size = 128;
  int64_t num_layers = 2;
  int64_t num_heads = 4;
  int64_t num_kv_heads = 2;
  bool tie_word_embeddings = true;
  uint64_t seed = 1;
};
inline constexpr int64_t kTinyVocab = 259;
inline constexpr uint32_t kTinyFirstByte = 3;
inline constexpr uint32_t kTinyEnd = 2;

// The model in memory: bf16 weights drawn from (seed, tensor name, index), manifest with digests.
// Version and sources are the caller's to set.
Weights MakeTinyModel(const TinyModelOptions& options = {});

// The same as a Hugging Face folder.
absl::Status WriteTinyModel(const std::string& folder, const TinyModelOptions& options = {});

}  // namespace reckon

#endif  // RECKON_COMMON_TESTING_TINY_MODEL_H_
