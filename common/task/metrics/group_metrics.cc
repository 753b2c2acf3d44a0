#include "common/task/metrics/group_metrics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "common/base/rng.h"
#include "common/task/reward/exact_match.h"
#include "common/task/reward/solution_steps.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

Verdict VerdictOf(const Rollout& sample) {
  return sample.rewards().empty() ? VERDICT_UNSPECIFIED : sample.rewards(0).verdict();
}

// Whether the answer with the most votes is correct. Sample i has weights[i] votes, or one.
bool MajorityCorrect(RewardSpec::Kind kind, const std::vector<Rollout>& samples,
                     const std::vector<double>& weights) {
  absl::flat_hash_map<std::string, double> votes;
  double most = 0;
  bool correct = false;
  for (size_t i = 0; i < samples.size(); ++i) {
    const Verdict verdict = VerdictOf(samples[i]);
    if (verdict != CORRECT && verdict != WRONG) continue;
    auto answer = CanonicalAnswer(kind, samples[i].rewards(0).extracted());
    if (!answer.has_value()) continue;
    const double count = votes[*std::move(answer)] += weights.empty() ? 1 : weights[i];
    // Strictly more, so that of equal counts the first one reached wins.
    if (count > most) {
      most = count;
      correct = verdict == CORRECT;
    }
  }
  return correct;
}

bool BestCorrect(const std::vector<Rollout>& samples, const std::vector<double>& scores) {
  if (scores.empty()) return false;
  const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
  return VerdictOf(samples[best]) == CORRECT;
}

// The `share` quantile, interpolated linearly between neighbours.
double Percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// The same seed draws the same prompts for every metric, so their intervals are comparable.
Estimate Bootstrap(const std::vector<double>& values, uint32_t bootstrap, uint64_t seed) {
  Estimate estimate;
  if (values.empty()) return estimate;
  const double mean = Mean(values);
  estimate.set_value(mean);
  estimate.set_low(mean);
  estimate.set_high(mean);
  if (bootstrap == 0) return estimate;
  const CounterRng rng(StreamKey(seed, "bootstrap"));
  std::vector<double> means(bootstrap);
  for (uint32_t round = 0; round < bootstrap; ++round) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[rng.Below(values.size(), i, round)];
    means[round] = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  estimate.set_low(Percentile(means, 0.025));
  estimate.set_high(Percentile(means, 0.975));
  return estimate;
}

}  // namespace

void GroupMetrics::AddGroup(const std::vector<Rollout>& samples,
                            const std::vector<double>& scores) {
  CHECK(scores.empty() || scores.size() == samples.size());
  if (samples.empty()) return;
  uint64_t correct = 0;
  absl::flat_hash_set<std::string> texts, equations;
  for (const Rollout& sample : samples) {
    const Verdict verdict = VerdictOf(sample);
    ++verdicts_[verdict];
    has_answer_ |= !sample.rewards().empty() && !sample.rewards(0).extracted().empty();
    if (verdict != CORRECT) continue;
    ++correct;
    texts.insert(sample.completion());
    equations.insert(EquationKey(sample.completion()));
  }
  groups_.push_back({MajorityCorrect(kind_, samples, {}), BestCorrect(samples, scores),
                     MajorityCorrect(kind_, samples, scores), samples.size(), correct, texts.size(),
                     equations.size()});
}

bool GroupMetrics::HasVotes() const {
  return has_answer_ || (kind_ != RewardSpec::PROCESS && kind_ != RewardSpec::SERVICE);
}

void GroupMetrics::AddOverlong(uint64_t prompts, uint64_t samples) {
  overlong_ += prompts * samples;
  for (uint64_t i = 0; i < prompts; ++i) groups_.push_back({.samples = samples});
}

template <typename Value>
std::vector<double> GroupMetrics::OfGroups(Value value) const {
  std::vector<double> values;
  for (const Group& group : groups_) values.push_back(static_cast<double>(value(group)));
  return values;
}

Estimate GroupMetrics::MajAtK(uint32_t bootstrap, uint64_t seed) const {
  return Bootstrap(OfGroups([](const Group& g) { return g.majority_correct; }), bootstrap, seed);
}

Estimate GroupMetrics::RerankAtK(uint32_t bootstrap, uint64_t seed) const {
  return Bootstrap(OfGroups([](const Group& g) { return g.best_correct; }), bootstrap, seed);
}

Estimate GroupMetrics::RerankWeightedAtK(uint32_t bootstrap, uint64_t seed) const {
  return Bootstrap(OfGroups([](const Group& g) { return g.weighted_correct; }), bootstrap, seed);
}

Estimate GroupMetrics::RerankGain(uint32_t bootstrap, uint64_t seed) const {
  const auto gain = [](const Group& g) {
    return static_cast<int>(g.weighted_correct) - static_cast<int>(g.majority_correct);
  };
  return Bootstrap(OfGroups(gain), bootstrap, seed);
}

Estimate GroupMetrics::PassAtK(uint32_t bootstrap, uint64_t seed) const {
  return Bootstrap(OfGroups([](const Group& g) { return g.correct > 0; }), bootstrap, seed);
}

Estimate GroupMetrics::MeanAtOne(uint32_t bootstrap, uint64_t seed) const {
  const auto share = [](const Group& g) {
    return static_cast<double>(g.correct) / static_cast<double>(g.samples);
  };
  return Bootstrap(OfGroups(share), bootstrap, seed);
}

double GroupMetrics::PassAt(uint32_t k) const {
  std::vector<double> values;
  for (const Group& group : groups_) {
    if (group.samples < k) continue;  // some were set aside
    double none = 1;  // C(n - c, k) / C(n, k) = product of 1 - k / i, i = n - c + 1 .. n
    for (uint64_t i = group.samples - group.correct + 1; i <= group.samples; ++i) {
      none *= 1 - std::min(1.0, static_cast<double>(k) / static_cast<double>(i));
    }
    values.push_back(1 - none);
  }
  return Mean(values);
}

std::map<std::string, double> GroupMetrics::PassAtPowersOfTwo(uint32_t samples) const {
  std::map<std::string, double> by_k;
  for (uint64_t k = 1; k < samples; k *= 2) {
    by_k[std::to_string(k)] = PassAt(static_cast<uint32_t>(k));
  }
  return by_k;
}

double GroupMetrics::DistinctCorrectTexts() const {
  return Mean(OfGroups([](const Group& g) { return g.distinct_texts; }));
}

double GroupMetrics::DistinctCorrectEquations() const {
  return Mean(OfGroups([](const Group& g) { return g.distinct_equations; }));
}

std::map<std::string, uint64_t> GroupMetrics::VerdictCounts() const {
  auto count = [this](Verdict verdict) -> uint64_t {
    auto found = verdicts_.find(verdict);
    return found == verdicts_.end() ? 0 : found->second;
  };
  std::map<std::string, uint64_t> counts = {{"correct", count(CORRECT)},
                                            {"wrong", count(WRONG)},
                                            {"unparsable", count(UNPARSABLE)},
                                            {"truncated", count(TRUNCATED)},
                                            {"reference_unparsable", count(REFERENCE_UNPARSABLE)}};
  if (uint64_t unscored = count(VERDICT_UNSPECIFIED); unscored > 0) counts["unscored"] = unscored;
  if (overlong_ > 0) counts["overlong"] = overlong_;
  return counts;
}

}  // namespace reckon
