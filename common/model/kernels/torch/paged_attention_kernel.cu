#include <cuda_bf16.h>

#include "common/model/kernels/torch/paged_attention_kernel.h"

namespace reckon {
namespace {

constexpr int kWarps = 4;

__device__ float Widen(float x) { return x; }
__device__ float Widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void Narrow(float x, float* to) { *to = x; }
__device__ void Narrow(float x, __nv_bfloat16* to) { *to = __float2bfloat16(x); }

// One block for each row and query head. Warp w computes keys w, w + 4, w + 8, ..; each lane holds
// kLanes elements of the head. The softmax is updated with every key (online softmax; Milakov and
// Gimelshein, arXiv 1805.02867): with max the largest score so far,
//
//   total = sum_t exp(score_t - max)      mixed = sum_t exp(score_t - max) v_t
//
// Then the four warps' totals are combined in one fixed order, so the bits of a row depend on its
// own sequence only.
template <typename T, int kLanes>
__global__ void PagedAttention(PagedAttentionArgs a) {
  constexpr int kDim = kLanes * 32;
  const int64_t row = blockIdx.x, head = blockIdx.y;
  const int64_t kv_head = head / (a.heads / a.kv_heads);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const T* q = static_cast<const T*>(a.q) + row * a.q_stride + head * kDim;
  const T* keys = static_cast<const T*>(a.keys);
  const T* values = static_cast<const T*>(a.values);
  const int32_t* pages = a.pages_of + row * a.most_pages;

  float query[kLanes], mixed[kLanes] = {};
  for (int i = 0; i < kLanes; ++i) query[i] = Widen(q[i * 32 + lane]) * a.scale;
  float max = -INFINITY, total = 0;
  for (int64_t t = warp; t <= a.positions[row]; t += kWarps) {
    const int64_t slot = pages[t / a.page_tokens] * a.page_tokens + t % a.page_tokens;
    const int64_t at = (slot * a.kv_heads + kv_head) * kDim + lane;
    float score = 0;
    for (int i = 0; i < kLanes; ++i) score += query[i] * Widen(keys[at + i * 32]);
    for (int offset = 16; offset > 0; offset /= 2) {
      score += __shfl_xor_sync(~0u, score, offset);
    }
    const float next = fmaxf(max, score);
    const float kept = expf(max - next), weight = expf(score - next);
    total = total * kept + weight;
    for (int i = 0; i < kLanes; ++i) {
      mixed[i] = mixed[i] * kept + weight * Widen(values[at + i * 32]);
    }
    max = next;
  }

  __shared__ float maxima[kWarps], totals[kWarps], shares[kWarps][kDim];
  if (lane == 0) {
    maxima[warp] = max;
    totals[warp] = total;
  }
  for (int i = 0; i < kLanes; ++i) shares[warp][i * 32 + lane] = mixed[i];
  __syncthreads();
  float largest = maxima[0];  // finite, because warp 0 has computed the first key
  for (int w = 1; w < kWarps; ++w) largest = fmaxf(largest, maxima[w]);
  T* out = static_cast<T*>(a.out) + (row * a.heads + head) * kDim;
  for (int d = threadIdx.x; d < kDim; d += kWarps * 32) {
    float sum = 0, weights = 0;
    for (int w = 0; w < kWarps; ++w) {
      const float factor = expf(maxima[w] - largest);
      sum += factor * shares[w][d];
      weights += factor * totals[w];
    }
    Narrow(sum / weights, out + d);
  }
}

template <typename T>
cudaError_t LaunchFor(const PagedAttentionArgs& a, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(a.rows), static_cast<unsigned>(a.heads));
  switch (a.dim) {
    case 32:
      PagedAttention<T, 1><<<grid, kWarps * 32, 0, stream>>>(a);
      break;
    case 64:
      PagedAttention<T, 2><<<grid, kWarps * 32, 0, stream>>>(a);
      break;
    case 96:
      PagedAttention<T, 3><<<grid, kWarps * 32, 0, stream>>>(a);
      break;
    case 128:
      PagedAttention<T, 4><<<grid, kWarps * 32, 0, stream>>>(a);
      break;
    case 256:
      PagedAttention<T, 8><<<grid, kWarps * 32, 0, stream>>>(a);
      break;
    default:
      return cudaErrorInvalidValue;
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t LaunchPagedAttention(const PagedAttentionArgs& args, cudaStream_t stream) {
  return args.bf16 ? LaunchFor<__nv_bfloat16>(args, stream) : LaunchFor<float>(args, stream);
}

}  // namespace reckon
