#include "common/model/kernels/cuda/draw_tokens.h"
#include "common/model/kernels/cuda/launch.h"

namespace reckon {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;

// A weight exp(scale * logit - max), or a sum of weights, in multiples of 2^-40.
using Fixed = unsigned long long;
constexpr float kOne = 0x1p40f;
__device__ Fixed FixedOf(float weight) { return static_cast<Fixed>(weight * kOne); }

// The tokens that remain: those heavier than `bits`, the weight's representation, which orders as
// weights do, and the first `ties` of those as heavy.
struct Cut {
  unsigned bits = 0;
  Fixed ties = ~Fixed{0};
};

struct Row {
  const float* logits;
  int64_t vocab;
  float scale, max;
  __device__ float Weight(int64_t token) const { return expf(scale * logits[token] - max); }
};

// A logit and its token as one number, the larger the better: a larger logit, then a lower token.
__device__ Fixed Ranked(float logit, int64_t token) {
  const unsigned bits = __float_as_uint(logit);
  const unsigned ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return Fixed{ordered} << 32 | (0xffffffffu - static_cast<unsigned>(token));
}

// Finds the weight w at which the tokens heavier than w have less than `target` and those at least
// as heavy have it: so many of them, or such a sum of weights. Radix select, eight bits a pass.
struct Found {
  unsigned bits;
  Fixed above_count, above_sum;  // of the heavier ones
};
__device__ Found Select(const Row& row, bool by_count, Fixed target) {
  __shared__ unsigned counts[256];
  __shared__ Fixed sums[256];
  __shared__ Found found;
  if (threadIdx.x == 0) found = {0, 0, 0};
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = threadIdx.x; i < 256; i += kThreads) counts[i] = sums[i] = 0;
    __syncthreads();
    for (int64_t token = threadIdx.x; token < row.vocab; token += kThreads) {
      const float weight = row.Weight(token);
      const unsigned bits = __float_as_uint(weight);
      if (Fixed{bits} >> (shift + 8) != Fixed{found.bits} >> (shift + 8)) continue;
      atomicAdd(&counts[bits >> shift & 255], 1u);
      atomicAdd(&sums[bits >> shift & 255], FixedOf(weight));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int digit = 255;
      for (; digit > 0; --digit) {
        const Fixed so_far =
            by_count ? found.above_count + counts[digit] : found.above_sum + sums[digit];
        if (so_far >= target) break;
        found.above_count += counts[digit];
        found.above_sum += sums[digit];
      }
      found.bits |= static_cast<unsigned>(digit) << shift;
    }
    __syncthreads();
  }
  const Found result = found;
  __syncthreads();
  return result;
}

// What top_k leaves, and of that top_p; `total` is the sum of all weights.
__device__ Cut Truncate(const Row& row, const DeviceDraw& draw, Fixed total) {
  Cut cut;
  if (draw.top_k > 0 && draw.top_k < row.vocab) {
    const Found found = Select(row, /*by_count=*/true, draw.top_k);
    cut = {found.bits, draw.top_k - found.above_count};
    total = found.above_sum + cut.ties * FixedOf(__uint_as_float(found.bits));
  }
  if (draw.top_p < 1) {
    const double share = ceil(draw.top_p * static_cast<double>(total));
    const Fixed target = share < 1 ? 1 : share < total ? static_cast<Fixed>(share) : total;
    const Found found = Select(row, /*by_count=*/false, target);
    const Fixed each = FixedOf(__uint_as_float(found.bits));
    const Fixed ties = (target - found.above_sum + each - 1) / each;
    if (found.bits > cut.bits || ties < cut.ties) cut = {found.bits, ties};
  }
  return cut;
}

// Walks the tokens of one warp's share of the vocabulary, 32 at a time: visit(token, weight) for
// each lane, weight 0 where the token does not remain, until visit returns true for a warp.
template <typename Visit>
__device__ void WalkShare(const Row& row, const Cut& cut, int64_t first, int64_t end, Fixed ties,
                          const Visit& visit) {
  const int lane = threadIdx.x % 32;
  for (int64_t base = first; base < end; base += 32) {
    const int64_t token = base + lane;
    const float weight = token < end ? row.Weight(token) : 0;
    const unsigned bits = __float_as_uint(weight);
    const unsigned tied = __ballot_sync(~0u, token < end && bits == cut.bits);
    const Fixed rank = ties + __popc(tied & ((1u << lane) - 1));
    const bool remains = bits > cut.bits || (bits == cut.bits && rank < cut.ties);
    ties += __popc(tied);
    if (visit(token, remains ? FixedOf(weight) : Fixed{0})) return;
  }
}

// The first token at which the running sum of what remains exceeds uniform * left; `left` becomes
// the sum of what remains.
__device__ int64_t Invert(const Row& row, const Cut& cut, double uniform, Fixed* left) {
  __shared__ Fixed ties[kWarps], sums[kWarps];
  __shared__ int64_t result;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t share = (row.vocab + kThreads - 1) / kThreads * 32;
  const int64_t first = warp * share < row.vocab ? warp * share : row.vocab;
  const int64_t end = first + share < row.vocab ? first + share : row.vocab;
  Fixed tied = 0;
  // Where all ties remain, their number is not needed.
  for (int64_t token = first + lane; token < end && cut.ties != ~Fixed{0}; token += 32) {
    tied += __float_as_uint(row.Weight(token)) == cut.bits ? 1 : 0;
  }
  tied = SumOfWarp(tied);
  if (lane == 0) ties[warp] = tied;
  __syncthreads();
  Fixed tied_before = 0;
  for (int w = 0; w < warp; ++w) tied_before += ties[w];
  Fixed sum = 0;
  WalkShare(row, cut, first, end, tied_before, [&](int64_t, Fixed weight) {
    sum += weight;
    return false;
  });
  sum = SumOfWarp(sum);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  *left = 0;
  for (int w = 0; w < kWarps; ++w) *left += sums[w];
  Fixed target = static_cast<Fixed>(uniform * static_cast<double>(*left));
  if (target >= *left) target = *left - 1;
  Fixed before = 0;
  int holder = 0;  // the warp whose share the token is in
  while (before + sums[holder] <= target) before += sums[holder++];
  if (warp == holder) {
    WalkShare(row, cut, first, end, tied_before, [&](int64_t token, Fixed weight) {
      Fixed running = weight;  // of the lanes up to this one
      for (int by = 1; by < 32; by *= 2) {
        const Fixed lower = __shfl_up_sync(~0u, running, by);
        if (lane >= by) running += lower;
      }
      const unsigned beyond = __ballot_sync(~0u, before + running > target);
      if (beyond != 0 && lane == __ffs(beyond) - 1) result = token;
      before += __shfl_sync(~0u, running, 31);
      return beyond != 0;
    });
  }
  __syncthreads();
  return result;
}

// One block a row.
__global__ void __launch_bounds__(kThreads) DrawTokens(DrawTokensArgs a) {
  __shared__ Fixed shared[kWarps];
  const DeviceDraw draw = a.draws[blockIdx.x];
  if (draw.idle != 0) return;
  Row row = {a.logits + blockIdx.x * a.vocab, a.vocab, draw.scale, 0};
  const bool tempered = draw.scale > 0 && draw.forced < 0;
  if (!tempered) row.scale = 1;

  const auto add = [](Fixed p, Fixed q) { return p + q; };
  const auto larger = [](Fixed p, Fixed q) { return p > q ? p : q; };
  Fixed best = 0, faults = 0, gaps = 0;
  for (int64_t token = threadIdx.x; token < row.vocab; token += kThreads) {
    const float logit = row.logits[token];
    faults += logit < INFINITY ? 0 : 1;  // a NaN as well
    gaps += logit == -INFINITY ? 1 : 0;
    const Fixed ranked = Ranked(logit, token);
    best = larger(best, ranked);
  }
  best = ReduceBlock(best, kWarps, shared, larger);
  faults = ReduceBlock(faults, kWarps, shared, add);
  gaps = ReduceBlock(gaps, kWarps, shared, add);
  DeviceToken drawn = {0, 0, 0, 0};
  if (faults > 0 || gaps != static_cast<Fixed>(a.gaps)) {
    drawn.faulty = 1;
  } else {
    const int64_t heaviest = 0xffffffffu - static_cast<unsigned>(best);
    row.max = row.scale * row.logits[heaviest];
    Fixed total = 0;
    // Invert adds up what remains, which is all of it if nothing is cut off.
    const bool truncates = (draw.top_k > 0 && draw.top_k < row.vocab) || draw.top_p < 1;
    if (!tempered || truncates) {
      for (int64_t token = threadIdx.x; token < row.vocab; token += kThreads) {
        total += FixedOf(row.Weight(token));
      }
      total = ReduceBlock(total, kWarps, shared, add);
    }
    int64_t token = draw.forced >= 0 ? draw.forced : heaviest;
    if (tempered) token = Invert(row, Truncate(row, draw, total), draw.uniform, &total);
    drawn.token = static_cast<int32_t>(token);
    // A forced token may be one that cannot be drawn; its log-probability is minus infinity.
    drawn.logprob = static_cast<float>(row.scale * row.logits[token] - row.max -
                                       log(static_cast<double>(total) / kOne));
  }
  if (threadIdx.x == 0) a.drawn[blockIdx.x] = drawn;
}

}  // namespace

cudaError_t LaunchDrawTokens(const DrawTokensArgs& args, cudaStream_t stream) {
  return Launch(DrawTokens, dim3(static_cast<unsigned>(args.rows)), kThreads, stream, args);
}

}  // namespace reckon
