#ifndef RECKON_COMMON_MODEL_SAMPLER_H_
#define RECKON_COMMON_MODEL_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "common/model/transformer.h"

namespace reckon {

// How to draw one row's next token.
struct SampleRow {
  double temperature = 1;  // 0: greedy, the lowest id wins a tie
  uint32_t top_k = 0;      // 0: off
  double top_p = 1;        // 1: off; applied after top_k, on the tempered distribution
  double uniform = 0;      // in [0, 1), from the rollout's random stream
  int64_t forced = -1;     // >= 0: take this token, report its untempered log-probability
};

struct Sampled {
  uint32_t token = 0;
  // Of the tempered, truncated and renormalised distribution that was sampled; untempered when
  // greedy or forced.
  float logprob = 0;
};

// Draws a token for each row by inverting the cumulative distribution at `uniform`, in vocabulary
// order. A row's result depends on its hidden state and its SampleRow only.
// hidden [rows, hidden]; runs the output head inside, tile by tile.
std::vector<Sampled> Sample(Transformer& model, const at::Tensor& hidden,
                            absl::Span<const SampleRow> rows);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_SAMPLER_H_
