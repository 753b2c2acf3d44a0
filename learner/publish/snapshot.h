#ifndef RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
#define RECKON_LEARNER_PUBLISH_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "common/model/files/model_folder.h"
#include "common/model/transformer.h"

namespace reckon {

// What a snapshot has that is not of its base.
struct SnapshotAdditions {
  std::vector<uint32_t> end_ids = {};  // as TrainedFacts; empty: the base's ends are left
  std::string end_token = {};
  SideFiles files = {};  // further files, e.g. AdapterFiles
};

// Writes parameters, fp32 or rounded already, as a Hugging Face model folder with the tensors,
// their order, config, tokenizer and side files of `base`, whose texts then say what was trained
// (exported_texts.h). Values are rounded to the type that the learner's matrix products use (BF16
// or F32), so that actors compute with the same numbers as the learner. INVALID_ARGUMENT names a
// tensor of `base` that is not among the parameters.
absl::Status WriteSnapshot(const std::string& folder, const Weights& base, Dtype compute,
                           const NamedTensors& parameters, SnapshotAdditions additions = {});

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
