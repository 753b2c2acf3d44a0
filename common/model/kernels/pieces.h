#ifndef RECKON_COMMON_MODEL_KERNELS_PIECES_H_
#define RECKON_COMMON_MODEL_KERNELS_PIECES_H_

#include <cstdint>
#include <memory>
#include <utility>

namespace reckon {

// Memory that packed weights are placed in, one piece after another. Who takes pieces of the same
// sizes in the same order finds the same weights in the same memory: so a learner packs, and an
// actor computes from what was packed. Each piece keeps all of the memory alive. One thread.
class Pieces {
 public:
  // A piece begins at a multiple of this, as what cudaMalloc gives; no vector load of a panel then
  // crosses a cache line.
  static constexpr uint64_t kAlignment = 256;
  static constexpr uint64_t Aligned(uint64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  // The memory that `owner` keeps; `begin` is at a multiple of kAlignment.
  Pieces(std::shared_ptr<const void> owner, char* begin, uint64_t bytes)
      : owner_(std::move(owner)), next_(begin), end_(begin + bytes) {}

  // Two programs that disagree about the sizes must not get here.
  std::shared_ptr<char[]> Take(uint64_t bytes);

 private:
  const std::shared_ptr<const void> owner_;
  char* next_;
  char* const end_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_PIECES_H_
