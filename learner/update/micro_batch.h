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

inline constexpr int64_t kNoTap = -1;

// What is wanted of a forward pass beside the hidden states.
struct TokenQuery {
  double temperature = 1;  // of the distribution that log-probabilities are of
  bool logprobs = true;
  int64_t tap_layer = kNoTap;
};

// Of the loss tokens of a micro-batch, in order; differentiable with grad mode on.
struct TokenStates {
  at::Tensor hidden;    // [n, hidden] final-norm states that predict the tokens, compute dtype
  at::Tensor logprobs;  // [n] fp32; undefined unless asked for
  at::Tensor
      residual;  // [rows, hidden] fp32 in front of the tapped layer, of all rows; or undefined
};
TokenStates ForwardTokens(Transformer& model, const MicroBatch& batch, const TokenQuery& query);

// A micro-batch for each bin, and the sequences (indices into `batch`) in it, of what one rank of
// `world` takes of a batch.
std::vector<std::vector<size_t>> PlanMicroBatches(absl::Span<const TrainingSequence* const> batch,
                                                  int rank, int world, int64_t micro_batch_tokens);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_MICRO_BATCH_H_
