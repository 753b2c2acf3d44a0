#ifndef RECKON_LEARNER_PUBLISH_ADAPTER_FILES_H_
#define RECKON_LEARNER_PUBLISH_ADAPTER_FILES_H_

#include <string>

#include "common/model/files/side_files.h"
#include "common/model/weights.h"

namespace reckon {

// The adapters of a model as PEFT reads them from the subfolder "adapter" of a version: names with
// that subfolder, and contents. Applied by PEFT to the model in `base`, the folder that they were
// trained over, they give what the version's merged weights give, to their rounding. `parameters`:
// TransformerWeights::Parameters of a model with adapters of this rank and alpha, kept in fp32.
SideFiles AdapterFiles(const std::string& base, int64_t rank, double alpha,
                       const NamedTensors& parameters);

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_ADAPTER_FILES_H_
