#include <cuda_bf16.h>

#include "common/model/ops/paged_attention_kernel.h"

namespace reckon {
namespace {

constexpr int kWarps = 4;

__device__ float Widen(float x) { return x; }
__device__ float Widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void Put(float x, float* to) { *to = x; }
__device__ void Put(float x, __nv_bfloat16* to) { *to = __float2bfloat16(x); }

// One block a row and query head. Each warp takes every fourth key, a lane kLanes elements of it,
// with the softmax kept up as keys come (Milakov and Gimelshein, arXiv 1805.02867); then the warps'
// shares are put together in one fixed order. So a row's bits depend on its own sequence only.
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
    for (int step = 16; step > 0; step /= 2) score += __shfl_xor_sync(~0u, score, step);
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
  float largest = maxima[0];  // finite: warp 0 has the first key
  for (int w = 1; w < kWarps; ++w) largest = fmaxf(largest, maxima[w]);
  T* out = static_cast<T*>(a.out) + (row * a.heads + head) * kDim;
  for (int d = threadIdx.x; d < kDim; d += kWarps * 32) {
    float sum = 0, weights = 0;
    for (int w = 0; w < kWarps; ++w) {
      const float factor = expf(maxima[w] - largest);
      sum += factor * shares[w][d];
      weights += factor * totals[w];
    }
    Put(sum / weights, out + d);
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
