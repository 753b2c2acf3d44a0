#ifndef RECKON_TESTS_SUPPORT_TINY_MODEL_H_
#define RECKON_TESTS_SUPPORT_TINY_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/model/config.h"
#include "common/model/files/model_folder.h"
#include "common/model/init/new_tokenizer.h"
#include "nlohmann/json.hpp"

namespace reckon {

// A whole random model for tests, with a tokenizer of bytes alone: id kTinyFirstByte + b is byte b,
// so that any text can be encoded and nothing merges.
inline constexpr int64_t kTinyVocab = kNewTokenizerBytes;
inline constexpr uint32_t kTinyFirstByte = kNewTokenizerFirstByte;
inline constexpr uint32_t kTinyEnd = kNewTokenizerEnd;

// 2 layers of 64 lanes, 4 heads, 2 kv heads, 2048 positions.
ModelConfig TinyConfig();

// Version and sources are not set.
Weights MakeTinyModel(uint64_t seed = 1);

// Adapters of rank 4, in fp32, over a version of that shape. Version and sources are not set.
Weights MakeTinyAdapters(uint64_t base_version, uint64_t seed = 1);

// Sets a field of the model's config.json.
void SetConfigField(const std::string& field, const nlohmann::json& value, Weights* weights);

// The same model as a Hugging Face folder.
absl::Status WriteTinyModel(const std::string& folder, uint64_t seed = 1);

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_TINY_MODEL_H_
