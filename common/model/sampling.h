#ifndef RECKON_COMMON_MODEL_SAMPLING_H_
#define RECKON_COMMON_MODEL_SAMPLING_H_

#include <cstdint>
#include <vector>

namespace reckon {

// How to draw one token: the distribution of the plan's SamplingParams (proto/sampling.proto) and a
// number from the rollout's random stream. Made by the engine for each row, used by Sample
// (sampler.h). Without LibTorch, so that the engine is tested without it.
struct TokenDraw {
  double temperature = 1;  // 0: greedy, the lowest id wins a tie
  uint32_t top_k = 0;      // 0: off
  double top_p = 1;        // 1: off; applied after top_k, to the tempered distribution
  double uniform = 0;      // in [0, 1)
  int64_t forced = -1;     // >= 0: takes this token
  uint32_t ranked = 0;     // this many of the likeliest tokens are reported as well
};

// A token that could have been drawn.
struct RankedToken {
  uint32_t token = 0;
  float logprob = 0;
};

struct DrawnToken {
  uint32_t token = 0;
  // Under the tempered, truncated and renormalised distribution that the token was drawn from; a
  // greedy or forced token has its untempered log-probability.
  float logprob = 0;
  // TokenDraw::ranked of them under that distribution, the likeliest first; fewer where top_k or
  // top_p has left fewer.
  std::vector<RankedToken> ranked = {};
};

// The factor that a temperature applies to logits: softmax(logits * InverseTemperature(t)). The
// sampler and the learner's log-probabilities both use it. Temperature 0 means greedy sampling,
// whose log-probabilities are untempered.
inline double InverseTemperature(double temperature) {
  return temperature > 0 ? 1 / temperature : 1;
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_SAMPLING_H_
