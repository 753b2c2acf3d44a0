#include "tests/support/cuda_on_cpu/grid.h"

#include <numeric>
#include <vector>

#include "common/model/kernels/cuda/launch.h"
#include "gtest/gtest.h"

// What runs kernels on the CPU must see their faults: each kernel here has one.
namespace reckon {
namespace {

constexpr int kThreads = 64;

// out[b] = the sum of block b's part of `in`.
__global__ void SumBlocks(const float* in, float* out, bool barrier) {
  __shared__ float parts[kThreads];
  parts[threadIdx.x] = in[blockIdx.x * kThreads + threadIdx.x];
  if (barrier) __syncthreads();
  if (threadIdx.x != kThreads - 1) return;
  float sum = 0;
  for (float part : parts) sum += part;
  out[blockIdx.x] = sum;
}

std::vector<float> RunSumBlocks(int count, bool barrier, uint64_t seed) {
  SetGridSeed(seed);
  std::vector<float> in(count), out(4);
  std::iota(in.begin(), in.end(), 1.0f);
  EXPECT_EQ(Launch(SumBlocks, dim3(4), kThreads, nullptr, in.data(), out.data(), barrier),
            cudaSuccess);
  return out;
}

TEST(GridTest, BlocksShareMemoryAndWaitForEachOther) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    EXPECT_EQ(RunSumBlocks(4 * kThreads, true, seed),
              (std::vector<float>{2080, 6176, 10272, 14368}));
  }
}

TEST(GridTest, AKernelThatMissesABarrierIsWrong) {
  int wrong = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    if (RunSumBlocks(4 * kThreads, false, seed) != RunSumBlocks(4 * kThreads, true, seed)) ++wrong;
  }
  EXPECT_GE(wrong, 7);
}

TEST(GridDeathTest, AReadOutOfBoundsEndsTheTest) {
  EXPECT_DEATH(RunSumBlocks(4 * kThreads - 1, true, 1), "heap-buffer-overflow");
}

__global__ void WaitInABranch() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST(GridDeathTest, ThreadsThatWaitAtDifferentBarriersEndTheTest) {
  EXPECT_DEATH((void)Launch(WaitInABranch, dim3(1), kThreads, nullptr), "different barriers");
}

// A shuffle that only a part of the warp takes, while the rest waits for the block.
__global__ void ShuffleAPart(float* out) {
  float value = 1;
  if (threadIdx.x % 32 < 8) value = __shfl_xor_sync(~0u, value, 1);
  __syncthreads();
  out[threadIdx.x] = value;
}

TEST(GridDeathTest, AShuffleOfAPartOfAWarpEndsTheTest) {
  std::vector<float> out(kThreads);
  EXPECT_DEATH((void)Launch(ShuffleAPart, dim3(1), kThreads, nullptr, out.data()),
               "waits for others that never come");
}

// What a warp does in step on a GPU is not promised: without __syncwarp a lane may be ahead.
__global__ void PassToTheNextLane(int* out, bool barrier) {
  __shared__ int passed[32];
  passed[threadIdx.x] = threadIdx.x;
  if (barrier) __syncwarp();
  out[threadIdx.x] = passed[(threadIdx.x + 1) % 32];
}

TEST(GridTest, LanesOfAWarpAreNotInStep) {
  auto run = [](bool barrier) {
    std::vector<int> out(32);
    EXPECT_EQ(Launch(PassToTheNextLane, dim3(1), 32, nullptr, out.data(), barrier), cudaSuccess);
    return out;
  };
  // The shared array begins with the zeros of a static variable.
  const std::vector<int> without = run(false), with = run(true);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(with[i], (i + 1) % 32);
  EXPECT_NE(without, with);
}

__global__ void Shuffles(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  EXPECT_EQ(__shfl_xor_sync(~0u, lane, 5), lane ^ 5);
  EXPECT_EQ(__shfl_sync(~0u, lane, 3), 3u);
  EXPECT_EQ(__shfl_up_sync(~0u, lane, 2), lane < 2 ? lane : lane - 2);
  EXPECT_EQ(__ballot_sync(~0u, lane % 2 == 1), 0xaaaaaaaau);
  EXPECT_EQ(SumOfWarp(lane), 496u);
  atomicAdd(out, lane);
}

TEST(GridTest, WarpsExchangeValues) {
  unsigned sum = 0;
  EXPECT_EQ(Launch(Shuffles, dim3(2, 3), kThreads, nullptr, &sum), cudaSuccess);
  EXPECT_EQ(sum, 2 * 3 * 2 * 496u);
}

TEST(GridTest, AGridThatAGpuRefusesIsAnError) {
  unsigned sum = 0;
  EXPECT_EQ(Launch(Shuffles, dim3(1), 2048, nullptr, &sum), cudaErrorInvalidConfiguration);
  EXPECT_EQ(Launch(Shuffles, dim3(1, 70000), 32, nullptr, &sum), cudaErrorInvalidConfiguration);
  EXPECT_EQ(Launch(Shuffles, dim3(0), 32, nullptr, &sum), cudaSuccess);
}

}  // namespace
}  // namespace reckon
