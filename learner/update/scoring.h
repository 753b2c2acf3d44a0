#ifndef RECKON_LEARNER_UPDATE_SCORING_H_
#define RECKON_LEARNER_UPDATE_SCORING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"
#include "learner/parallel/parallel.h"
#include "learner/update/training_sequence.h"

namespace reckon {

// A number of each loss token, by sequence.
using TokenValues = std::vector<std::vector<float>>;

// Log-probabilities of the loss tokens under softmax(logits / temperature), unless null, and, with
// `head`, its value [n, hidden] -> [n] of the states that predict them. Without gradients. The
// ranks divide the work; each gets all of it. INTERNAL: LibTorch failed.
absl::Status ScoreTokens(Transformer& model, Parallel& parallel,
                         absl::Span<const TrainingSequence* const> batch,
                         int64_t micro_batch_tokens, double temperature, TokenValues* logprobs,
                         const std::function<at::Tensor(const at::Tensor&)>& head = nullptr,
                         TokenValues* values = nullptr);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_SCORING_H_
