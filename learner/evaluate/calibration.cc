#include "learner/evaluate/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace reckon {
namespace {

constexpr size_t kBins = 10;

double Share(double part, size_t of) { return part / static_cast<double>(std::max<size_t>(1, of)); }

}  // namespace

double AreaUnderCurve(std::vector<Prediction> predictions) {
  std::sort(predictions.begin(), predictions.end(),
            [](const Prediction& a, const Prediction& b) { return a.probability < b.probability; });
  double right = 0, wrong = 0, above = 0;  // above: pairs with the right one ranked higher
  for (size_t begin = 0, end = 0; begin < predictions.size(); begin = end) {
    double tied_right = 0, tied_wrong = 0;
    for (end = begin;
         end < predictions.size() && predictions[end].probability == predictions[begin].probability;
         ++end) {
      (predictions[end].right ? tied_right : tied_wrong) += 1;
    }
    // Groups of equal probability in ascending order: each right solution of this group is above
    // all wrong ones before it, and half above those that tie with it. O(n log n) for the sort
    // instead of all pairs.
    above += tied_right * (wrong + tied_wrong / 2);
    right += tied_right;
    wrong += tied_wrong;
  }
  return right == 0 || wrong == 0 ? 0.5 : above / (right * wrong);
}

double CalibrationError(const std::vector<Prediction>& predictions) {
  std::array<double, kBins> gap{};  // sum of predicted minus sum of observed
  for (const Prediction& p : predictions) {
    const auto bin = static_cast<size_t>(p.probability * kBins);
    // A probability of 1 belongs to the last bin.
    gap[std::min(bin, kBins - 1)] += p.probability - (p.right ? 1 : 0);
  }
  double sum = 0;
  // Equation 3 weights the gap of each bin's means by the bin's size, which cancels the division by
  // it: the sums can be subtracted directly.
  for (double g : gap) sum += std::fabs(g);
  return Share(sum, predictions.size());
}

double BrierScore(const std::vector<Prediction>& predictions) {
  double sum = 0;
  for (const Prediction& p : predictions) {
    const double error = p.probability - (p.right ? 1 : 0);
    sum += error * error;
  }
  return Share(sum, predictions.size());
}

}  // namespace reckon
