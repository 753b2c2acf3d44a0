#ifndef RECKON_LEARNER_RUN_RESUME_H_
#define RECKON_LEARNER_RUN_RESUME_H_

#include <memory>

#include "absl/status/statusor.h"
#include "learner/context/context.h"
#include "learner/update/policy_update.h"

namespace reckon {

// How a run is saved and resumed. A checkpoint holds the cursor, the parameters, and AdamW's
// moments where an optimizer continues. What happens depends on the cursor's phase:
//
//   phase    the round was         parameters         moments           what runs next
//   BEGIN    not begun             RestoreParameters  MakePolicyUpdate  Algorithm::Round
//   TRAIN    in its fine-tuning    RestoreParameters  MakePolicyUpdate  Algorithm::Round, whose
//                                                                       FineTune continues at
//                                                                       cursor.train_step
//   TRAINED  trained, published    RestoreParameters  MakePolicyUpdate  Algorithm::Published, the
//            and written                              in a later round  evaluation, the next round
//
//   1. FindCheckpoint     the Learner, before the model exists; the cursor is the checkpoint's.
//                         The newest version is then published again, whatever the phase.
//   2. Algorithm::Begin   adds the stage's heads to run.extra.
//   3. RestoreParameters  the Learner, after Begin, in every phase.
//   4. MakePolicyUpdate   the algorithm, when it makes its optimizer. A checkpoint has moments in
//                         phase TRAIN, and in every phase of an online stage, whose optimizer lives
//                         for all its rounds. Other fine-tunings begin with fresh moments.
//   5. The Learner forgets the checkpoint when the stage ends.
//
// What is not in a checkpoint is recorded by the coordinator: batches and selections are served
// again as they were.

// A run whose ranks hold shards is not saved when it is stopped: ranks notice that at different
// times, and a leader alone has no whole model. It resumes from the checkpoint before.
//
// Loads the newest intact checkpoint into run.resume, if `resume` of the leader and there is one.
// The leader reads it and shares it.
absl::Status FindCheckpoint(RunState& run, Parallel& parallel, bool resume);

// Copies the checkpoint's parameters into the model and run.extra; adapters are attached to the
// version that they were trained on first. INVALID_ARGUMENT when they are those of another model.
// A collective.
absl::Status RestoreParameters(RunState& run, Parallel& parallel);

// The optimizer of a stage, over AllTrained, with the checkpoint's moments if the run resumes in
// the middle of what it does. DATA_LOSS when the checkpoint lacks them.
absl::StatusOr<std::unique_ptr<PolicyUpdate>> MakePolicyUpdate(RankContext& ranks);

// Saves cursor, parameters and, if not null, this rank's moments as a checkpoint, after the folder
// of the newest version, from which a resumed run publishes it, unless the term is over. Called by
// the ranks that HelpsWithWholeModel: shards go to the leader, one unit after another, which writes
// what every checkpoint holds, so that any number of ranks may load it, with or without shards.
absl::Status SaveRun(RankContext& ranks, const AdamMoments* moments);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_RESUME_H_
