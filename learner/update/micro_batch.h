#ifndef RECKON_LEARNER_UPDATE_MICRO_BATCH_H_
#define RECKON_LEARNER_UPDATE_MICRO_BATCH_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/update/training_sequence.h"

namespace reckon {

// Several whole sequences as one forward pass.
struct MicroBatch {
  at::Tensor tokens, positions;    // [rows] int32
  std::vector<int64_t> starts;     // of the sequences
  at::Tensor predicting, targets;  // [loss tokens] int64 rows, int32 token ids
  std::vector<int64_t> counts;     // loss tokens of each sequence
  int64_t loss_tokens = 0;
};

MicroBatch PackSequences(absl::Span<const TrainingSequence* const> sequences);

// Of the loss tokens of a micro-batch, in order; differentiable with grad mode on.
struct TokenStates {
  at::Tensor hidden;    // [n, hidden] final-norm states that predict the tokens, compute dtype
  at::Tensor logprobs;  // [n] fp32; undefined unless asked for
};
TokenStates ForwardTokens(Transformer& model, const MicroBatch& batch, double temperature,
                          bool logprobs = true);

// A micro-batch for each bin, and the sequences (indices into `batch`) in it, of what one rank of
// `world` takes of a batch.
std::vector<std::vector<size_t>> PlanMicroBatches(absl::Span<const TrainingSequence* const> batch,
                                                  int rank, int world, int64_t micro_batch_tokens);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_MICRO_BATCH_H_
