#include "learner/algorithm/rcrl/labels.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/rng.h"

namespace reckon {

std::vector<bool> LabelSteps(const RcrlSettings& settings, const std::vector<size_t>& ends,
                             const std::vector<float>& probabilities) {
  std::vector<bool> good;
  double before = probabilities.front();
  for (size_t end : ends) {
    const double now = probabilities[end];
    const bool rise = settings.label_by() == RcrlSettings::RISE;
    good.push_back((rise ? now - before : now) >= settings.threshold());
    before = now;
  }
  return good;
}

LabelledSequence InsertLabels(const TrainingSequence& sequence, size_t prompt,
                              const std::vector<bool>& good, const StepTokens& steps,
                              LabelTokens labels) {
  LabelledSequence out;
  size_t step = 0;
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    const bool begins = i == prompt || (i > prompt && steps.EndsStep(sequence.tokens[i - 1]));
    if (begins && !good.empty()) {
      const bool is_good = good[std::min(step++, good.size() - 1)];
      (is_good ? out.good : out.bad) += 1;
      out.sequence.tokens.push_back(is_good ? labels.good : labels.bad);
      out.sequence.loss.push_back(false);
    }
    out.sequence.tokens.push_back(sequence.tokens[i]);
    out.sequence.loss.push_back(sequence.loss[i]);
  }
  return out;
}

double GoodShare(int64_t good, int64_t bad) {
  return static_cast<double>(good) / static_cast<double>(std::max<int64_t>(1, good + bad));
}

void BalanceLabels(double ratio, uint64_t key, std::vector<LabelledSequence>* samples) {
  if (ratio == 0) return;
  int64_t good = 0, bad = 0;
  for (const LabelledSequence& sample : *samples) {
    good += sample.good;
    bad += sample.bad;
  }
  // Greedy in a random order: a fixed one would leave out the samples of the first problems. Only
  // whole samples can be left out, although the share counts solution steps.
  std::vector<size_t> order(samples->size());
  std::iota(order.begin(), order.end(), size_t{0});
  Shuffle(order, key);
  std::vector<bool> left_out(samples->size());
  for (size_t i : order) {
    const LabelledSequence& sample = (*samples)[i];
    const double without = GoodShare(good - sample.good, bad - sample.bad);
    if (std::fabs(without - ratio) >= std::fabs(GoodShare(good, bad) - ratio)) continue;
    good -= sample.good;
    bad -= sample.bad;
    left_out[i] = true;
  }
  size_t kept = 0;
  for (size_t i = 0; i < samples->size(); ++i) {
    if (left_out[i]) continue;
    if (kept != i) (*samples)[kept] = std::move((*samples)[i]);
    ++kept;
  }
  samples->resize(kept);
}

}  // namespace reckon
