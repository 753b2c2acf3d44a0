#ifndef RECKON_COMMON_BASE_MEMORY_H_
#define RECKON_COMMON_BASE_MEMORY_H_

#include <cstdint>
#include <memory>

namespace reckon {

// The memory of programs that compute. A step of training or decoding reads hundreds of megabytes
// that no cache holds, so what it costs depends on how the kernel maps them: with pages of 4 KiB a
// read misses the TLB every 64 cache lines, and the first write to each page is a fault.

// Makes the allocator keep freed memory instead of returning it to the system, so that the
// activations of each pass reuse pages that are already mapped, and LibTorch's allocator ask for
// huge pages. Programs that compute call it once, first in main. The first part does nothing
// without glibc.
void KeepFreedMemory();

// New memory that is not zeroed, aligned to a cache line; from 2 MiB on in huge pages where the
// system has them for those who ask. Throws std::bad_alloc, as LibTorch's tensors do.
std::shared_ptr<char[]> AllocateBytes(int64_t bytes);

// Asks for huge pages in [memory, memory + bytes), where that is 2 MiB or more. To be called before
// the memory is first written. A hint: a system without them ignores it.
void UseHugePages(void* memory, int64_t bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_MEMORY_H_
