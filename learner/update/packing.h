#ifndef RECKON_LEARNER_UPDATE_PACKING_H_
#define RECKON_LEARNER_UPDATE_PACKING_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace reckon {

// Indices of the sequences that each rank takes: balanced by tokens (the longest goes to the rank
// with the least), each rank's in ascending order. Every rank computes the same.
std::vector<std::vector<size_t>> AssignToRanks(absl::Span<const int64_t> lengths, int world);

// First fit in order: puts each sequence into the first bin with room, or a new one. A sequence
// above `capacity` has a bin of its own.
std::vector<std::vector<size_t>> PackFirstFit(absl::Span<const int64_t> lengths, int64_t capacity);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_PACKING_H_
