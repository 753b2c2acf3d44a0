#include "common/base/memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <new>

namespace reckon {
namespace {

constexpr int64_t kCacheLine = 64;
constexpr int64_t kHugePage = 2 << 20;

}  // namespace

void KeepFreedMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest value that glibc accepts
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
#endif
  // LibTorch reads this once, at its first allocation. What the user has set stays.
  setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
}

std::shared_ptr<char[]> AllocateBytes(int64_t bytes) {
  const int64_t unit = bytes < kHugePage ? kCacheLine : kHugePage;
  // aligned_alloc wants a multiple of the alignment.
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (memory == nullptr) throw std::bad_alloc();
  UseHugePages(memory, bytes);
  return {static_cast<char*>(memory), &std::free};
}

void UseHugePages(void* memory, int64_t bytes) {
#ifdef __linux__
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + static_cast<uintptr_t>(bytes)) / kHugePage * kHugePage;
  // The whole ones: the neighbours in a huge page may belong to somebody else.
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace reckon
