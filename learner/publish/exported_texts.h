#ifndef RECKON_LEARNER_PUBLISH_EXPORTED_TEXTS_H_
#define RECKON_LEARNER_PUBLISH_EXPORTED_TEXTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/model/files/side_files.h"
#include "proto/weights.pb.h"

namespace reckon {

// What the texts of a trained model must say that those of its base may not.
struct TrainedFacts {
  std::string dtype;                   // of the weights, as transformers spells it: "bfloat16"
  std::vector<uint32_t> end_ids = {};  // CompletionEnds: the first ends what was trained
  std::string end_token = {};          // its spelling; empty: not known
};

// Makes the base's texts true for the trained model, and leaves them byte for byte as they are
// where they are true already:
//   config.json             torch_dtype or dtype; eos_token_id is or has the first end
//   generation_config.json  eos_token_id has the first end, made of config.json where there is none
//   tokenizer_config.json   eos_token is the first end, if the file exists
//   special_tokens_map.json the same
// Then programs that generate with the model stop where it was trained to stop. INVALID_ARGUMENT: a
// text is not a JSON object.
absl::Status SetTrainedFacts(const TrainedFacts& facts, FolderTexts* texts, SideFiles* side_files);

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_EXPORTED_TEXTS_H_
