#ifndef RECKON_COMMON_TESTING_TINY_MODEL_H_
#define RECKON_COMMON_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/init/new_tokenizer.h"
#include "common/init/random_model.h"
#include "common/weights/model_folder.h"

namespace reckon {

// A random model for tests. Its tokenizer has the bytes alone: id kTinyFirstByte + b is byte b, so
// any text is representable and nothing merges.
struct TinyModelOptions : RandomModelShape {
  uint64_t seed = 1;
};
inline constexpr int64_t kTinyVocab = kNewTokenizerBytes;
inline constexpr uint32_t kTinyFirstByte = kNewTokenizerFirstByte;
inline constexpr uint32_t kTinyEnd = kNewTokenizerEnd;

// Version and sources are the caller's to set.
Weights MakeTinyModel(const TinyModelOptions& options = {});

// The same as a Hugging Face folder.
absl::Status WriteTinyModel(const std::string& folder, const TinyModelOptions& options = {});

}  // namespace reckon

#endif  // RECKON_COMMON_TESTING_TINY_MODEL_H_
