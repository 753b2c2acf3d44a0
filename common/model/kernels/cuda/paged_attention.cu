#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/launch.h"
#include "common/model/kernels/cuda/paged_attention.h"

namespace reckon {
namespace {

constexpr int kWarps = 4;
constexpr int kLanes = 8;                      // that share a key; each has dim / 8 elements
constexpr int kKeys = kWarps * (32 / kLanes);  // that a block reads at once

// exp(from - to), where a share that has seen no key yet weighs nothing.
__device__ float Kept(float from, float to) { return from == -INFINITY ? 0 : expf(from - to); }

// One block for each row and kGroup query heads that share a kv head, so that their keys and values
// are read once. Position t is computed by lanes 8 j .. 8 j + 7 of a warp, 4 warp + j = t mod 16.
// The softmax is updated with every key (online softmax; Milakov and Gimelshein, arXiv 1805.02867):
// with max the largest score so far,
//
//   total = sum_t exp(score_t - max)      mixed = sum_t exp(score_t - max) v_t
//
// Then the 16 shares are combined in one fixed order, so the bits of a row depend on its own
// sequence only.
template <typename T, int kWidth, int kGroup>
__global__ void __launch_bounds__(kWarps * 32) PagedAttention(PagedAttentionArgs a) {
  constexpr int kDim = kWidth * kLanes;
  const int64_t row = blockIdx.x, group = a.heads / a.kv_heads;
  const int64_t chunks = (group + kGroup - 1) / kGroup;
  const int64_t kv_head = blockIdx.y / chunks, first = blockIdx.y % chunks * kGroup;
  const int heads = static_cast<int>(group - first < kGroup ? group - first : kGroup);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t own = lane % kLanes * kWidth;  // the lane's first element
  const int64_t head = kv_head * group + first;
  const T* keys = static_cast<const T*>(a.keys) + kv_head * kDim + own;
  const T* values = static_cast<const T*>(a.values) + kv_head * kDim + own;
  const int32_t* pages = a.pages_of + row * a.most_pages;
  const int64_t count = a.positions[row] + 1;

  float query[kGroup][kWidth] = {}, mixed[kGroup][kWidth] = {};
  float max[kGroup], total[kGroup] = {};
#pragma unroll
  for (int h = 0; h < kGroup; ++h) {
    max[h] = -INFINITY;
    // A group that is no multiple of kGroup: what is beyond it computes with zeros.
    if (h >= heads) continue;
    LoadWide(static_cast<const T*>(a.q) + row * a.q_stride + (head + h) * kDim + own, query[h]);
    for (int i = 0; i < kWidth; ++i) query[h][i] *= a.scale;
  }
  for (int64_t base = 0; base < count; base += kKeys) {
    const int64_t t = base + warp * (32 / kLanes) + lane / kLanes;
    const bool valid = t < count;
    float key[kWidth] = {}, value[kWidth] = {};
    if (valid) {
      const int64_t slot = pages[t / kPageTokens] * kPageTokens + t % kPageTokens;
      LoadWide(keys + slot * a.kv_heads * kDim, key);
      LoadWide(values + slot * a.kv_heads * kDim, value);
    }
#pragma unroll
    for (int h = 0; h < kGroup; ++h) {
      float score = 0;
      for (int i = 0; i < kWidth; ++i) score += query[h][i] * key[i];
      // All lanes of the warp are here, also those without a key.
      for (int offset = kLanes / 2; offset > 0; offset /= 2) {
        score += __shfl_xor_sync(~0u, score, offset);
      }
      if (!valid) continue;
      const float next = fmaxf(max[h], score);
      const float kept = Kept(max[h], next), weight = expf(score - next);
      total[h] = total[h] * kept + weight;
      for (int i = 0; i < kWidth; ++i) mixed[h][i] = mixed[h][i] * kept + weight * value[i];
      max[h] = next;
    }
  }

  __shared__ float maxima[kWarps][kGroup], totals[kWarps][kGroup], shares[kWarps][kGroup][kDim];
#pragma unroll
  for (int h = 0; h < kGroup; ++h) {
    for (int offset = kLanes; offset < 32; offset *= 2) {
      const float other = __shfl_xor_sync(~0u, max[h], offset);
      const float next = fmaxf(max[h], other);
      const float kept = Kept(max[h], next), added = Kept(other, next);
      total[h] = total[h] * kept + __shfl_xor_sync(~0u, total[h], offset) * added;
      for (int i = 0; i < kWidth; ++i) {
        mixed[h][i] = mixed[h][i] * kept + __shfl_xor_sync(~0u, mixed[h][i], offset) * added;
      }
      max[h] = next;
    }
    if (lane == 0) {
      maxima[warp][h] = max[h];
      totals[warp][h] = total[h];
    }
    if (lane < kLanes) {
      for (int i = 0; i < kWidth; ++i) shares[warp][h][own + i] = mixed[h][i];
    }
  }
  __syncthreads();
  T* out = static_cast<T*>(a.out) + (row * a.heads + head) * kDim;
  for (int at = threadIdx.x; at < heads * kDim; at += kWarps * 32) {
    const int h = at / kDim, d = at % kDim;
    float largest = maxima[0][h], sum = 0, weights = 0;
    for (int w = 1; w < kWarps; ++w) largest = fmaxf(largest, maxima[w][h]);
    for (int w = 0; w < kWarps; ++w) {
      const float factor = Kept(maxima[w][h], largest);
      sum += factor * shares[w][h][d];
      weights += factor * totals[w][h];
    }
    Narrow(weights > 0 ? sum / weights : 0, out + at);
  }
}

template <typename T, int kWidth>
cudaError_t LaunchWidth(const PagedAttentionArgs& a, cudaStream_t stream) {
  const int64_t group = a.heads / a.kv_heads;
  auto launch = [&](auto* kernel, int64_t of_block) {
    const int64_t blocks = a.kv_heads * ((group + of_block - 1) / of_block);
    const dim3 grid(static_cast<unsigned>(a.rows), static_cast<unsigned>(blocks));
    return Launch(kernel, grid, kWarps * 32, stream, a);
  };
  if (group == 1) return launch(PagedAttention<T, kWidth, 1>, 1);
  // Four wide heads would not fit into the registers.
  if (group == 2 || kWidth > 16) return launch(PagedAttention<T, kWidth, 2>, 2);
  return launch(PagedAttention < T, kWidth, kWidth <= 16 ? 4 : 2 >, 4);
}

template <typename T>
cudaError_t LaunchFor(const PagedAttentionArgs& a, cudaStream_t stream) {
  switch (a.dim) {
    case 16:
      return LaunchWidth<T, 2>(a, stream);
    case 32:
      return LaunchWidth<T, 4>(a, stream);
    case 64:
      return LaunchWidth<T, 8>(a, stream);
    case 80:
      return LaunchWidth<T, 10>(a, stream);
    case 96:
      return LaunchWidth<T, 12>(a, stream);
    case 112:
      return LaunchWidth<T, 14>(a, stream);
    case 128:
      return LaunchWidth<T, 16>(a, stream);
    case 256:
      return LaunchWidth<T, 32>(a, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace

cudaError_t LaunchPagedAttention(const PagedAttentionArgs& args, cudaStream_t stream) {
  return args.bf16 ? LaunchFor<__nv_bfloat16>(args, stream) : LaunchFor<float>(args, stream);
}

}  // namespace reckon
