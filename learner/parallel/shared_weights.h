#ifndef RECKON_LEARNER_PARALLEL_SHARED_WEIGHTS_H_
#define RECKON_LEARNER_PARALLEL_SHARED_WEIGHTS_H_

#include <string>

#include "absl/status/status.h"
#include "common/model/files/model_folder.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// A model folder that the other ranks may have as well.
struct LocalModel {
  std::string folder;  // empty: none
  std::string base;    // of an adapter folder; see ReadModelFolder
};

// Gives every rank the weights that the leader has read, without side files; a collective. The
// manifest comes first. A rank that finds the very same model in `local` takes it from there, and
// the bytes are sent only if some rank does not; every rank then checks them against the manifest's
// digests. Memory: the weights themselves, and a few MiB. DATA_LOSS: they arrived damaged.
absl::Status ShareWeights(Parallel& parallel, const LocalModel& local, Weights* weights);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_SHARED_WEIGHTS_H_
