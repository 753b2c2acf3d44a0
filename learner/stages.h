#ifndef RECKON_LEARNER_STAGES_H_
#define RECKON_LEARNER_STAGES_H_

#include "absl/status/status.h"
#include "learner/context/context.h"

namespace reckon {

// Runs the stages of the config from where the cursor is to the end of the last one, each round as
// algorithm/algorithm.h says: the algorithm updates the policy; the leader publishes the version,
// saves a checkpoint with the version's folder, and evaluates the version. On return the cursor is
// after the last stage, and the newest checkpoint may still be being written (run/resume.h).
//
// Of the Learner, when everything in `ranks` is connected and version 0, or the checkpoint's, is
// published. A collective. CANCELLED when stopped.
absl::Status RunStages(RankContext& ranks);

}  // namespace reckon

#endif  // RECKON_LEARNER_STAGES_H_
