#include "learner/update/packing.h"

#include <algorithm>
#include <numeric>

namespace reckon {

std::vector<std::vector<size_t>> AssignToRanks(absl::Span<const int64_t> lengths, int world) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  // Stable, and min_element takes the first of equals: ties must fall in the same way on every
  // rank, or a sequence would be trained on twice or not at all.
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  std::vector<int64_t> load(world, 0);
  std::vector<std::vector<size_t>> assigned(world);
  for (size_t i : order) {
    size_t rank = std::min_element(load.begin(), load.end()) - load.begin();
    load[rank] += lengths[i];
    assigned[rank].push_back(i);
  }
  // In the order of the batch, so that one rank gives the same sums as no division at all.
  for (std::vector<size_t>& mine : assigned) std::sort(mine.begin(), mine.end());
  return assigned;
}

std::vector<std::vector<size_t>> PackFirstFit(absl::Span<const int64_t> lengths, int64_t capacity) {
  std::vector<std::vector<size_t>> bins;
  std::vector<int64_t> room;
  for (size_t i = 0; i < lengths.size(); ++i) {
    size_t bin = 0;
    // Quadratic in the worst case, over the sequences of one batch.
    while (bin < bins.size() && room[bin] < lengths[i]) ++bin;
    if (bin == bins.size()) {
      bins.emplace_back();
      room.push_back(capacity);  // a longer sequence has the bin for itself
    }
    bins[bin].push_back(i);
    room[bin] -= lengths[i];
  }
  return bins;
}

}  // namespace reckon
