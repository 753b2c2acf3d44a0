#ifndef RECKON_LEARNER_ALGORITHM_FINE_TUNE_H_
#define RECKON_LEARNER_ALGORITHM_FINE_TUNE_H_

#include <vector>

#include "absl/status/status.h"
#include "learner/algorithm/learner_context.h"
#include "learner/update/training_sequence.h"

namespace reckon {

// Fine-tunes the model on `sequences` (rank 0's; other ranks get them by broadcast) as the stage's
// training settings say, starting from the weights that `restart` names, with a fresh optimizer;
// with the parameters of context.extra, and lowers `loss` instead of the cross-entropy, if given.
// Saves checkpoints on the way, and goes on from context.resume when that was made in the middle of
// this fine-tuning. CANCELLED, with a checkpoint saved, when stopped.
absl::Status FineTune(LearnerContext& context, EiSettings::RestartFrom restart,
                      std::vector<TrainingSequence> sequences, SequenceLoss* loss = nullptr);

// Gives rank 0's sequences to all ranks.
absl::Status ShareSequences(LearnerContext& context, std::vector<TrainingSequence>* sequences);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_FINE_TUNE_H_
