#include "learner/update/schedule.h"

#include <cmath>

namespace reckon {

double LearningRate(const TrainingSettings& training, int64_t step, int64_t total_steps) {
  double high = training.learning_rate(), low = training.min_learning_rate();
  auto warmup = static_cast<int64_t>(std::ceil(training.warmup_ratio() * total_steps));
  if (step < warmup) return high * (step + 1) / warmup;
  int64_t decay = total_steps - 1 - warmup;
  if (decay <= 0) return high;
  double progress = std::fmin(1.0, static_cast<double>(step - warmup) / decay);
  return low + (high - low) * 0.5 * (1 + std::cos(M_PI * progress));
}

}  // namespace reckon
