#ifndef RECKON_COMMON_BASE_MEMORY_H_
#define RECKON_COMMON_BASE_MEMORY_H_

#include <cstdint>
#include <memory>

namespace reckon {

// The memory of programs that compute. A step of training or decoding reads hundreds of megabytes
// that no cache holds, so what it costs depends on how the kernel maps them: with pages of 4 KiB a
// read misses the TLB every 64 cache lines, and the first write to each page is a fault.

// Makes the allocator keep freed memory instead of returning it to the system, so that the
// activations of each pass reuse pages that are already mapped. Programs that compute call it once,
// first in main (common/model/device_memory.h). Does nothing without glibc.
void KeepFreedMemory();

// New memory that is not zeroed, aligned to a cache line; from 2 MiB on in huge pages where the
// system has them for those who ask. Throws std::bad_alloc, as LibTorch's tensors do. FreeLines
// ends what AllocateLines began.
//
// The allocator is not asked for the alignment: for that, glibc before 2.38 takes more than it
// needs, keeps the rest for small objects, and finds what was freed too small for the next memory
// of the same size. A learner's heap was a third larger.
void* AllocateLines(int64_t bytes);
void FreeLines(void* memory);
std::shared_ptr<char[]> AllocateBytes(int64_t bytes);

// Asks for huge pages in the pages that hold [memory, memory + bytes), where that is 2 MiB or more.
// To be called before the memory is first written. A hint: a system without them ignores it.
void UseHugePages(void* memory, int64_t bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_MEMORY_H_
