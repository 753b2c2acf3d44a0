#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_DRAW_TOKENS_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_DRAW_TOKENS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "common/model/sampling.h"

namespace reckon {

// A TokenDraw (sampling.h) as the kernel reads it.
struct DeviceDraw {
  double uniform, top_p;
  float scale;     // InverseTemperature; 0: greedy
  uint32_t top_k;  // 0: off
  int32_t forced;  // >= 0: takes this token
  int32_t idle;    // not 0: the row draws nothing
};

inline DeviceDraw MakeDeviceDraw(const TokenDraw& draw) {
  return {
      .uniform = draw.uniform,
      .top_p = draw.top_p,
      .scale = draw.temperature > 0 ? static_cast<float>(InverseTemperature(draw.temperature)) : 0,
      .top_k = draw.top_k,
      .forced = static_cast<int32_t>(draw.forced),
      .idle = 0};
}

// What a row has drawn.
struct DeviceToken {
  int32_t token;
  float logprob;
  int32_t faulty;  // not 0: a logit is inf or nan
  int32_t unused;
};

// One token for each row of logits [rows, vocab] fp32, by the rules of Sample (sampler.h). Weights
// are integers, multiples of 2^-40 of the heaviest, and so their sums are exact and have no order:
// a row's result has the same bits whatever other rows there are. It is Sample's but where
// rounding decides. top_k and top_p find the lightest weight that remains digit by digit, in four
// passes over the logits, without sorting. Device memory.
struct DrawTokensArgs {
  const float* logits;  // minus infinity: the token cannot be drawn
  int64_t rows, vocab;
  int64_t gaps;  // tokens of each row whose logit is minus infinity; another number is a fault
  const DeviceDraw* draws;  // [rows]
  DeviceToken* drawn;       // [rows]
};
cudaError_t LaunchDrawTokens(const DrawTokensArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_DRAW_TOKENS_H_
