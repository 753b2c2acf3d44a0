#ifndef RECKON_TESTS_SUPPORT_CUDA_ON_CPU_GRID_H_
#define RECKON_TESTS_SUPPORT_CUDA_ON_CPU_GRID_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>

namespace reckon {

// Runs CUDA kernels that were compiled as C++ against include/, which has the part of CUDA's names
// that our kernels use. No GPU and no nvcc: continuous integration runs every kernel, also under
// the address sanitizer, which sees a read or write out of bounds.
//
// Blocks run one after another; the threads of a block are fibers of one thread. A fiber
// runs from barrier to barrier, and at each the order of the fibers is another permutation, drawn
// from `seed`. So a kernel that misses a barrier, between warps or within one, reads what is not
// written yet and its result is wrong for most seeds. CHECKs: threads that wait at different
// barriers, as __syncthreads in a branch that not all take, and a shuffle of a part of a warp.
//
// __shared__ variables are static: they begin a block with what the block before left in them.
struct GridIndex {
  unsigned x = 1, y = 1, z = 1;
};

// Returns once all blocks have run. One grid at a time.
void RunGrid(GridIndex blocks, GridIndex threads, const std::function<void()>& kernel);

// Grids that have run.
int64_t GridsRun();

// Of the permutations of the grids that follow.
void SetGridSeed(uint64_t seed);

// For include/: what a fiber does.
GridIndex CurrentThread();
GridIndex CurrentBlock();
void WaitForBlock(const std::source_location& where);
void WaitForWarp(const std::source_location& where);
// Gives `bytes` of every live lane of the warp to the others; returns those of `lane`, or the
// caller's own if that lane has ended or does not exist. `value` holds at most 8 bytes.
void ExchangeInWarp(void* value, size_t bytes, unsigned lane, const std::source_location& where);
unsigned BallotOfWarp(bool vote, const std::source_location& where);
unsigned CurrentLane();

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_CUDA_ON_CPU_GRID_H_
