#ifndef RECKON_LEARNER_UPDATE_PACKING_H_
#define RECKON_LEARNER_UPDATE_PACKING_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace reckon {

// Divides sequences among ranks so that their tokens are balanced: the longest first, each to the
// rank with the fewest tokens so far (LPT; Graham 1969). Returns the indices of each rank's
// sequences, ascending. Every rank computes the same.
std::vector<std::vector<size_t>> AssignToRanks(absl::Span<const int64_t> lengths, int world);

// First fit in order: each sequence goes into the first bin with room, or a new one. A sequence
// longer than `capacity` is alone in a bin.
std::vector<std::vector<size_t>> PackFirstFit(absl::Span<const int64_t> lengths, int64_t capacity);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_PACKING_H_
