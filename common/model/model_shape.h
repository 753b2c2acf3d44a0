#ifndef RECKON_COMMON_MODEL_MODEL_SHAPE_H_
#define RECKON_COMMON_MODEL_MODEL_SHAPE_H_

#include "absl/status/statusor.h"
#include "common/model/config.h"
#include "common/text/tokenizer.h"
#include "proto/weights.pb.h"

namespace reckon {

// The config of a weight version, with unused_rows and gaps as its tokenizer has them. Actor and
// learner both take it from here, so that their softmax is over the same tokens. Takes as long as
// to load the tokenizer. Errors are those of ModelConfig::Parse and Tokenizer::Create.
absl::StatusOr<ModelConfig> ModelShape(const FolderTexts& texts);
// The same of what its texts were parsed to, where the tokenizer is loaded already.
ModelConfig ModelShape(ModelConfig config, const Tokenizer& tokenizer);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_MODEL_SHAPE_H_
