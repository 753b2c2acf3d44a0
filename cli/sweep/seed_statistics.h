#ifndef RECKON_CLI_SWEEP_SEED_STATISTICS_H_
#define RECKON_CLI_SWEEP_SEED_STATISTICS_H_

#include <cstddef>
#include <vector>

namespace reckon {

// A mean over seeds with its 95 % interval: mean +- t s / sqrt(n), where s is the sample's standard
// deviation and t the 0.975 quantile of Student's distribution with n - 1 degrees of freedom. It
// takes the seeds' results as independent and near normal. One seed has no interval. That of two
// would be 12.7 times as wide as what they are apart by, and say nothing: they have the range from
// the lower to the higher instead.
struct SeedEstimate {
  size_t seeds = 0;
  double mean = 0;
  double half = 0;  // of the interval, or of the range of two; 0 with one seed

  double low() const { return mean - half; }
  double high() const { return mean + half; }
  bool is_range() const { return seeds == 2; }
};

SeedEstimate EstimateOverSeeds(const std::vector<double>& values);

// The 0.975 quantile of Student's t. `degrees` is at least 1.
double StudentT975(size_t degrees);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SEED_STATISTICS_H_
