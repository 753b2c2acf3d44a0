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

// Loads the newest intact checkpoint into run.resume, if `resume` of the leader and there is one.
// The leader opens it and shares what it holds and where.
absl::Status FindCheckpoint(RunState& run, Parallel& parallel, bool resume);

// Reads what this rank holds of the checkpoint's parameters into the model and run.extra; adapters
// are attached to the version that they were trained on first. INVALID_ARGUMENT when they are those
// of another model. A collective.
absl::Status RestoreParameters(RunState& run, Parallel& parallel);

// The optimizer of a stage, over AllTrained, with the checkpoint's moments if the run resumes in
// the middle of what it does. It is the one that LeaveDevice finds. DATA_LOSS when the checkpoint
// lacks the moments.
absl::StatusOr<std::shared_ptr<PolicyUpdate>> MakePolicyUpdate(RankContext& ranks);

// How a save runs, while the next optimizer step does:
//
//   SaveRun       copies what this rank writes; a CheckpointWriter's thread begins to write it
//   the thread    on the leader first the folder of the newest version, from which a resumed run
//                 publishes it; then the rank's part; then the leader, once all parts are there
//                 and the term continues, commits. Where a rank does not reach the leader's folder
//                 (run.all_reach_run_dir), the leader writes all of it, and the threads of ranks
//                 with shards send it theirs, one unit after another
//   SettleSave    on the run's thread at the next step, round or save: run.saved is the new
//                 checkpoint's, the coordinator is told which batches it covers, and folders of
//                 older versions are deleted
//
// Whoever dies meanwhile, the checkpoint before it is what the run resumes from.

// Who writes it. kLeader: after a collective that broke, what the leader has by itself, without
// shards.
enum class SavedBy { kAllRanks, kLeader };

// Begins to save cursor, parameters and, if not null, this rank's moments as a checkpoint, after
// the save before has ended; fails as that did. Any number of ranks may load it, with or without
// shards. A collective.
absl::Status SaveRun(RankContext& ranks, const AdamMoments* moments,
                     SavedBy by = SavedBy::kAllRanks);

// Takes the result of a save that has ended, or with `wait` of one that is running.
absl::Status SettleSave(RankContext& ranks, bool wait);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_RESUME_H_
