#ifndef RECKON_LEARNER_UPDATE_SCORING_H_
#define RECKON_LEARNER_UPDATE_SCORING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/parallel/parallel.h"
#include "learner/update/micro_batch.h"
#include "learner/update/training_sequence.h"

namespace reckon {

// A number of each loss token, by sequence.
using TokenValues = std::vector<std::vector<float>>;

// A number of each loss token [n] from what a forward pass gave.
using TokenHead = std::function<at::Tensor(const MicroBatch&, const TokenStates&)>;

// Log-probabilities of the loss tokens, if the query wants them, and, with `head`, its values.
// Without gradients. The ranks divide the work; each gets all of it. INTERNAL: LibTorch failed.
absl::Status ScoreTokens(Transformer& model, Parallel& parallel,
                         absl::Span<const TrainingSequence* const> batch,
                         int64_t micro_batch_tokens, const TokenQuery& query, TokenValues* logprobs,
                         const TokenHead& head = nullptr, TokenValues* values = nullptr);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_SCORING_H_
