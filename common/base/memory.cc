#include "common/base/memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
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
}

void* AllocateLines(int64_t bytes) {
  // What malloc gave, from which memory begins a pointer or more later, is noted before it.
  void* const given = std::malloc(static_cast<size_t>(bytes) + sizeof(void*) + kCacheLine - 1);
  if (given == nullptr) throw std::bad_alloc();
  const auto first = reinterpret_cast<uintptr_t>(given) + sizeof(void*);
  void* const memory = reinterpret_cast<void*>((first + kCacheLine - 1) / kCacheLine * kCacheLine);
  static_cast<void**>(memory)[-1] = given;
  UseHugePages(memory, bytes);
  return memory;
}

void FreeLines(void* memory) {
  if (memory != nullptr) std::free(static_cast<void**>(memory)[-1]);
}

std::shared_ptr<char[]> AllocateBytes(int64_t bytes) {
  return {static_cast<char*>(AllocateLines(bytes)), &FreeLines};
}

void UseHugePages(void* memory, int64_t bytes) {
#ifdef __linux__
  if (bytes < kHugePage) return;
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(memory), first = begin / page * page;
  // Not the whole huge pages alone: one may span memory and its neighbour that asks too.
  madvise(reinterpret_cast<void*>(first), begin + static_cast<uintptr_t>(bytes) - first,
          MADV_HUGEPAGE);
#endif
}

}  // namespace reckon
