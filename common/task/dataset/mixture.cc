#include "common/task/dataset/mixture.h"

#include <numeric>
#include <utility>

#include "common/base/log.h"

namespace reckon {

SetOrder::SetOrder(std::vector<double> shares)
    : shares_(std::move(shares)), credit_(shares_.size()) {}

size_t SetOrder::Next() {
  const double total = std::accumulate(shares_.begin(), shares_.end(), 0.0);
  CHECK_GT(total, 0);
  size_t best = shares_.size();
  for (size_t i = 0; i < shares_.size(); ++i) {
    if (shares_[i] == 0) continue;
    credit_[i] += shares_[i] / total;
    if (best == shares_.size() || credit_[i] > credit_[best]) best = i;
  }
  credit_[best] -= 1;
  return best;
}

std::vector<SetPlace> InterleaveSets(const std::vector<double>& shares,
                                     const std::vector<size_t>& sizes) {
  SetOrder order(shares);
  std::vector<SetPlace> places;
  std::vector<size_t> next(sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) order.Drop(i);
  }
  const size_t all = std::accumulate(sizes.begin(), sizes.end(), size_t{0});
  while (places.size() < all) {
    const size_t set = order.Next();
    places.push_back({set, next[set]++});
    if (next[set] == sizes[set]) order.Drop(set);
  }
  return places;
}

}  // namespace reckon
