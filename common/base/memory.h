#ifndef RECKON_COMMON_BASE_MEMORY_H_
#define RECKON_COMMON_BASE_MEMORY_H_

#include <malloc.h>

namespace reckon {

// Freed memory stays with the process instead of going back to the system: activations of every
// step are then pages that are already there. Called first in main by programs that compute.
inline void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
}

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_MEMORY_H_
