#ifndef RECKON_COMMON_MODEL_SAMPLER_H_
#define RECKON_COMMON_MODEL_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/sampling.h"
#include "common/model/transformer.h"

namespace reckon {

// Computes the logits of hidden [rows, hidden] and draws one token for each row, as its TokenDraw
// (sampling.h) says. With p the distribution that remains after temperature, top_k and top_p, the
// token is the first in vocabulary order with p[0] + .. + p[token] > uniform (inverse transform
// sampling). A row's result has the same bits whatever other rows there are. Holds the logits of 64
// rows at once; on a GPU they are copied to the CPU, so that there is one sampler. Called on the
// engine's thread. DATA_LOSS: a logit is inf or nan, as those of a model are whose weights or
// activations have left the range of their type; no token means anything then.
absl::StatusOr<std::vector<DrawnToken>> Sample(Transformer& model, const at::Tensor& hidden,
                                               absl::Span<const TokenDraw> rows);

// The same from logits [rows, vocab] fp32 in host memory, of which those of `gaps`, ascending, are
// minus infinity.
absl::StatusOr<std::vector<DrawnToken>> DrawFromLogits(const at::Tensor& logits,
                                                       const std::vector<int64_t>& gaps,
                                                       absl::Span<const TokenDraw> rows);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_SAMPLER_H_
