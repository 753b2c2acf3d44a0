#ifndef RECKON_TESTS_SUPPORT_CUDA_ON_CPU_INCLUDE_CUDA_RUNTIME_API_H_
#define RECKON_TESTS_SUPPORT_CUDA_ON_CPU_INCLUDE_CUDA_RUNTIME_API_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <source_location>

#include "tests/support/cuda_on_cpu/grid.h"

// CUDA's names, as far as our kernels use them, for a kernel that is compiled as C++ (../grid.h).
// What is missing here does not compile: add it.

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// Threads of a block share it, and blocks run one after another.
#define __shared__ static

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9 };

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
                                                : "invalid argument";
}

struct dim3 {
  unsigned x, y, z;
  // NOLINTNEXTLINE(google-explicit-constructor): as CUDA's.
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

#define threadIdx (reckon::CurrentThread())
#define blockIdx (reckon::CurrentBlock())

// As on a GPU, a grid that it refuses is an error of the launch.
template <typename... Expected, typename... Given>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...),
                               Given&&... given) {
  const dim3 grid = config->gridDim, block = config->blockDim;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffff || grid.y > 65535 ||
      grid.z > 65535 || threads == 0 || threads > 1024) {
    return cudaErrorInvalidConfiguration;
  }
  reckon::RunGrid({grid.x, grid.y, grid.z}, {block.x, block.y, block.z},
                  [&] { kernel(static_cast<Expected>(given)...); });
  return cudaSuccess;
}

using CudaWhere = std::source_location;

inline void __syncthreads(CudaWhere where = CudaWhere::current()) { reckon::WaitForBlock(where); }
inline void __syncwarp(CudaWhere where = CudaWhere::current()) { reckon::WaitForWarp(where); }
template <typename T>
T __shfl_sync(unsigned, T value, int lane, CudaWhere where = CudaWhere::current()) {
  reckon::ExchangeInWarp(&value, sizeof(T), lane, where);
  return value;
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask, CudaWhere where = CudaWhere::current()) {
  reckon::ExchangeInWarp(&value, sizeof(T), reckon::CurrentLane() ^ mask, where);
  return value;
}
template <typename T>
T __shfl_up_sync(unsigned, T value, unsigned by, CudaWhere where = CudaWhere::current()) {
  // Lanes below `by` keep theirs: the difference is no lane.
  reckon::ExchangeInWarp(&value, sizeof(T), reckon::CurrentLane() - by, where);
  return value;
}
inline unsigned __ballot_sync(unsigned, bool vote, CudaWhere where = CudaWhere::current()) {
  return reckon::BallotOfWarp(vote, where);
}
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(unsigned x) { return x == 0 ? 0 : std::countr_zero(x) + 1; }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double __ull2double_rn(unsigned long long x) { return static_cast<double>(x); }

template <typename T>
T atomicAdd(T* to, T value) {
  const T old = *to;
  *to += value;
  return old;
}
template <typename T>
T atomicOr(T* to, T value) {
  const T old = *to;
  *to |= value;
  return old;
}

struct uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

#endif  // RECKON_TESTS_SUPPORT_CUDA_ON_CPU_INCLUDE_CUDA_RUNTIME_API_H_
