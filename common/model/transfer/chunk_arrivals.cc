#include "common/model/transfer/chunk_arrivals.h"

#include <utility>

namespace reckon {

void ChunkArrivals::Mark(uint64_t chunk) {
  std::vector<std::function<void()>> told;
  {
    absl::MutexLock lock(&mu_);
    if (!here_[chunk]) --missing_;
    here_[chunk] = true;
    const auto [first, last] = waiting_.equal_range(chunk);
    for (auto it = first; it != last; ++it) told.push_back(std::move(it->second));
    waiting_.erase(first, last);
  }
  for (const std::function<void()>& then : told) then();
}

bool ChunkArrivals::complete() {
  absl::MutexLock lock(&mu_);
  return missing_ == 0;
}

void ChunkArrivals::End() {
  std::multimap<uint64_t, std::function<void()>> told;
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    told.swap(waiting_);
  }
  for (const auto& [chunk, then] : told) then();
}

ChunkArrivals::State ChunkArrivals::Ask(uint64_t chunk, std::function<void()> then) {
  absl::MutexLock lock(&mu_);
  if (here_[chunk]) return State::kHere;
  if (ended_) return State::kLost;
  waiting_.emplace(chunk, std::move(then));
  return State::kAwaited;
}

}  // namespace reckon
