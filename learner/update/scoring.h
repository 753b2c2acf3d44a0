#ifndef RECKON_LEARNER_UPDATE_SCORING_H_
#define RECKON_LEARNER_UPDATE_SCORING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/data/training_sequence.h"
#include "learner/parallel/parallel.h"
#include "learner/update/micro_batch.h"

namespace reckon {

// One number for each loss token of each sequence of a batch.
using TokenValues = std::vector<std::vector<float>>;

// Computes one number for each loss token, [n], from what a forward pass gave: a critic or a reward
// head.
using TokenHead = std::function<at::Tensor(const MicroBatch&, const TokenStates&)>;

// Forward passes over a batch, without gradients. Fills `logprobs` with the log-probabilities of
// the loss tokens if the query asks for them, and `values` with the numbers of `head` if there is
// one. The ranks divide the work and each gets all of it, so all ranks must call it. Errors as
// those of PolicyUpdate::Step.
absl::Status ScoreTokens(Transformer& model, Parallel& parallel,
                         absl::Span<const TrainingSequence* const> batch,
                         int64_t micro_batch_tokens, const TokenQuery& query, TokenValues* logprobs,
                         const TokenHead& head = nullptr, TokenValues* values = nullptr);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_SCORING_H_
