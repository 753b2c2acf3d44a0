#ifndef RECKON_LEARNER_UPDATE_MICRO_BATCH_H_
#define RECKON_LEARNER_UPDATE_MICRO_BATCH_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/data/training_sequence.h"

namespace reckon {

// Several sequences as one forward pass without padding: a row is one token. Adjacent sequences
// with the same prompt (PromptOf) share its rows, as the samples of a group do. A sequence ends
// with the row that predicts its last loss token: later rows would change nothing. The loss tokens
// are those that a sequence's mask marks, except its first, which nothing predicts; loss token i
// has id targets[i] and is predicted by the hidden state of row predicting[i], that of the token
// before it.
struct MicroBatch {
  at::Tensor tokens, positions;  // [rows] int32
  RowSegments segments;
  at::Tensor predicting, targets;  // [loss tokens] int64 rows, int32 token ids
  std::vector<int64_t> counts;     // [sequences] loss tokens
  int64_t loss_tokens = 0;
};

// The tensors are on `device`. Without a sequence: one row, and no loss token.
MicroBatch PackSequences(absl::Span<const TrainingSequence* const> sequences,
                         c10::Device device = c10::kCPU);

inline constexpr int64_t kNoTap = -1;

// What a caller needs from a forward pass beside the hidden states.
struct TokenQuery {
  double temperature = 1;  // of the distribution that log-probabilities are of
  bool logprobs = true;
  int64_t tap_layer = kNoTap;  // layer whose input is returned as TokenStates::residual
};

// The n loss tokens of a micro-batch, in order; differentiable with grad mode on.
struct TokenStates {
  at::Tensor hidden;    // [n, hidden] final-norm states that predict the tokens, in compute type
  at::Tensor logprobs;  // [n] fp32; undefined unless asked for
  at::Tensor residual;  // [rows, hidden] fp32 input of the tapped layer, of all rows; or undefined
};
TokenStates ForwardTokens(Transformer& model, const MicroBatch& batch, const TokenQuery& query);

// Divides a batch among `world` ranks and the share of `rank` into micro-batches of at most
// `micro_batch_tokens` rows (a longer sequence is alone in one): one list of indices into `batch`
// for each micro-batch. Every sequence is in exactly one list of exactly one rank. Sequences with
// the same prompt are kept together as far as a micro-batch and a rank's fair share have room.
std::vector<std::vector<size_t>> DivideIntoMicroBatches(
    absl::Span<const TrainingSequence* const> batch, int rank, int world,
    int64_t micro_batch_tokens);

// The micro-batches of `rank` that have a loss token. `alike`: as many for every rank, because each
// pass over a model that is divided among them is a collective; a rank that has fewer gets empty
// ones at the end.
std::vector<std::vector<size_t>> MicroBatchesWithLoss(
    absl::Span<const TrainingSequence* const> batch, int rank, int world,
    int64_t micro_batch_tokens, bool alike);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_MICRO_BATCH_H_
