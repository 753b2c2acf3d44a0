#ifndef RECKON_LEARNER_ALGORITHM_FINE_TUNE_H_
#define RECKON_LEARNER_ALGORITHM_FINE_TUNE_H_

#include <vector>

#include "absl/status/status.h"
#include "learner/context/context.h"
#include "learner/data/training_sequence.h"
#include "proto/config.pb.h"

namespace reckon {

struct FineTuneOptions {
  // BASE, the version that the stage began with, or PREVIOUS: the newest one.
  Stage::RestartFrom restart_from = Stage::PREVIOUS;
  SequenceLoss* loss = nullptr;  // null: cross-entropy of the sequences' learned tokens
};

// Fine-tunes the model, and the heads in run.extra, on the leader's `sequences`, which other ranks
// get by broadcast: training.epochs passes, shuffled anew in each, in batches of
// training.batch_size, with a fresh optimizer.
//
// Saves a checkpoint every checkpoint_interval or checkpoint_steps, and when it is stopped
// (CANCELLED); with cursor.phase TRAIN it continues at cursor.train_step. INVALID_ARGUMENT when a
// token is not in the vocabulary.
absl::Status FineTune(RankContext& ranks, std::vector<TrainingSequence> sequences,
                      const FineTuneOptions& options = {});

// Replaces `sequences` on all ranks by the leader's.
absl::Status BroadcastSequences(Parallel& parallel, std::vector<TrainingSequence>* sequences);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_FINE_TUNE_H_
