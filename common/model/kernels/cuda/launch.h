#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_LAUNCH_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_LAUNCH_H_

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstring>
#include <utility>

namespace reckon {

// What the .cu files share. They include nothing of LibTorch, so that nvcc compiles little, and
// launch through Launch alone and not by <<<>>>, so that they are C++ as well: tests compile them
// against tests/support/cuda_on_cpu and run them without a GPU.

// Starts `kernel` on `stream`, one-dimensional blocks of `threads`. No block: nothing to do.
template <typename... Expected, typename... Given>
cudaError_t Launch(void (*kernel)(Expected...), dim3 grid, unsigned threads, cudaStream_t stream,
                   Given&&... given) {
  if (grid.x == 0 || grid.y == 0) return cudaSuccess;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Given>(given)...);
}

__device__ inline float Widen(float x) { return x; }
__device__ inline float Widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void Narrow(float x, float* to) { *to = x; }
__device__ inline void Narrow(float x, __nv_bfloat16* to) { *to = __float2bfloat16(x); }
// x as T holds it.
template <typename T>
__device__ float Round(float x) {
  T rounded;
  Narrow(x, &rounded);
  return Widen(rounded);
}

// The sum of all lanes, in one order and so with the same bits in each.
template <typename V>
__device__ V SumOfWarp(V value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
  return value;
}

// op over what each thread of the block has, in one order, for all of them. `shared` holds one
// value a warp; none of it is in use any more when this returns.
template <typename V, typename Op>
__device__ V ReduceBlock(V value, int warps, V* shared, Op op) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value = op(value, __shfl_xor_sync(~0u, value, offset));
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[0];
  for (int warp = 1; warp < warps; ++warp) value = op(value, shared[warp]);
  __syncthreads();
  return value;
}

// Loads N elements in as few loads as their size allows; `from` is aligned to N elements.
template <typename T, int N>
__device__ void LoadWide(const T* from, float (&to)[N]) {
  constexpr int kWords = N * sizeof(T) / 4;
  static_assert(kWords * 4 == N * sizeof(T));
  unsigned words[kWords];
  if constexpr (kWords % 4 == 0) {
    for (int i = 0; i < kWords / 4; ++i) {
      const uint4 four = reinterpret_cast<const uint4*>(from)[i];
      words[4 * i] = four.x;
      words[4 * i + 1] = four.y;
      words[4 * i + 2] = four.z;
      words[4 * i + 3] = four.w;
    }
  } else {
    for (int i = 0; i < kWords; ++i) words[i] = reinterpret_cast<const unsigned*>(from)[i];
  }
  for (int i = 0; i < N; ++i) {
    if constexpr (sizeof(T) == 4) {
      to[i] = __uint_as_float(words[i]);
    } else {
      to[i] = __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xffff0000u);
    }
  }
}

// Stores N elements, which fill words of 16 bytes, in as many stores; `to` is aligned to those.
template <typename T, int N>
__device__ void StoreWide(const T (&from)[N], T* to) {
  constexpr int kEach = 16 / sizeof(T);
  static_assert(N % kEach == 0);
  for (int i = 0; i < N / kEach; ++i) {
    uint4 four;
    memcpy(&four, from + i * kEach, sizeof(four));
    reinterpret_cast<uint4*>(to)[i] = four;
  }
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_LAUNCH_H_
