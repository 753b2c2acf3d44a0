#include "common/model/kernels/pieces.h"

// Last.
#include "common/base/log.h"

namespace reckon {

std::shared_ptr<char[]> Pieces::Take(uint64_t bytes) {
  CHECK(Aligned(bytes) <= static_cast<uint64_t>(end_ - next_)) << "the memory has too few bytes";
  char* const begin = std::exchange(next_, next_ + Aligned(bytes));
  return {begin, [owner = owner_](const char*) {}};
}

}  // namespace reckon
