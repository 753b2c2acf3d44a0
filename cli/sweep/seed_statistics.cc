#include "cli/sweep/seed_statistics.h"

#include <cmath>

namespace reckon {

double StudentT975(size_t degrees) {
  // R: qt(0.975, 1:30).
  static constexpr double kQuantiles[] = {
      12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
      2.2010,  2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
      2.0796,  2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
  if (degrees <= 30) return kQuantiles[degrees - 1];
  // Cornish-Fisher; its error is below 1e-5 from here on.
  const double z = 1.959964, n = static_cast<double>(degrees), z3 = z * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z3 * z * z + 16 * z3 + 3 * z) / (96 * n * n);
}

SeedEstimate EstimateOverSeeds(const std::vector<double>& values) {
  SeedEstimate out;
  out.seeds = values.size();
  if (values.empty()) return out;
  const double n = static_cast<double>(values.size());
  for (const double value : values) out.mean += value / n;
  if (values.size() < 2) return out;
  if (out.is_range()) {
    out.half = std::fabs(values[0] - values[1]) / 2;
    return out;
  }
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.half = StudentT975(values.size() - 1) * std::sqrt(squares / (n - 1) / n);
  return out;
}

}  // namespace reckon
