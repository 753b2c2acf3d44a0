#include "learner/sampling/problem_order.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"

namespace reckon {
namespace {

std::string KeyOf(const std::string& name, const ProblemPool& pool) {
  return pool.set.empty() ? name : absl::StrCat(name, "/", pool.set);
}

std::vector<double> SharesOf(const std::vector<ProblemPool>& pools) {
  std::vector<double> shares;
  for (const ProblemPool& pool : pools) shares.push_back(pool.share);
  return shares;
}

}  // namespace

std::vector<ProblemPool> PoolsOf(const DataSettings& data, const std::vector<Problem>& train,
                                 size_t first) {
  const bool shares = std::any_of(data.set().begin(), data.set().end(),
                                  [](const MixtureSet& set) { return set.share() > 0; });
  std::vector<ProblemPool> pools;
  if (!shares) {
    ProblemPool& all = pools.emplace_back();
    if (first < train.size()) all.problems.resize(train.size() - first);
    std::iota(all.problems.begin(), all.problems.end(), first);
    return pools;
  }
  for (const MixtureSet& set : data.set()) {
    ProblemPool pool{.set = set.name(), .share = set.share()};
    for (size_t i = first; i < train.size(); ++i) {
      if (train[i].set == set.name()) pool.problems.push_back(i);
    }
    if (!pool.problems.empty()) pools.push_back(std::move(pool));
  }
  return pools;
}

std::vector<size_t> DrawProblems(std::vector<ProblemPool> pools, size_t count, uint64_t seed,
                                 const std::string& name) {
  std::vector<size_t> sizes, drawn;
  for (ProblemPool& pool : pools) {
    Shuffle(pool.problems, StreamKey(seed, KeyOf(name, pool)));
    sizes.push_back(pool.problems.size());
  }
  for (const SetPlace& place : InterleaveSets(SharesOf(pools), sizes)) {
    if (drawn.size() == count) break;
    drawn.push_back(pools[place.set].problems[place.index]);
  }
  return drawn;
}

ProblemOrder::ProblemOrder(const DataSettings& data, const std::vector<Problem>& train,
                           uint64_t seed, std::string name)
    : seed_(seed), name_(std::move(name)), pools_(PoolsOf(data, train)), order_(SharesOf(pools_)) {
  Restart();
}

void ProblemOrder::Restart() {
  order_ = SetOrder(SharesOf(pools_));
  drawn_.clear();
  for (const ProblemPool& pool : pools_) drawn_.push_back({.pool = pool});
  next_ = 0;
}

size_t ProblemOrder::At(uint64_t place) {
  if (place + 1 == next_) return last_;
  if (pools_.size() == 1) {
    next_ = place + 1;
    return last_ = Take(&drawn_[0], place);
  }
  if (place < next_) Restart();
  while (next_ <= place) {
    Drawn& from = drawn_[order_.Next()];
    const uint64_t index = from.count++;
    if (next_++ == place) last_ = Take(&from, index);
  }
  return last_;
}

size_t ProblemOrder::Take(Drawn* from, uint64_t index) const {
  std::vector<size_t>& problems = from->pool.problems;
  const auto pass = static_cast<int64_t>(index / problems.size());
  // The order of one pass is kept; places are asked for in ascending order, so each pass is
  // shuffled once.
  if (pass != from->pass) {
    from->pass = pass;
    std::sort(problems.begin(), problems.end());
    Shuffle(problems, StreamKey(seed_, KeyOf(name_, from->pool), pass));
  }
  return problems[index % problems.size()];
}

}  // namespace reckon
