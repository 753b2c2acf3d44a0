#include "learner/update/schedule.h"

#include <cmath>

namespace reckon {

double LearningRate(const TrainingSettings& training, int64_t step, int64_t total_steps) {
  const double learning_rate = training.learning_rate(), minimum = training.min_learning_rate();
  const auto warmup = static_cast<int64_t>(std::ceil(training.warmup_ratio() * total_steps));
  if (step < warmup) return learning_rate * (step + 1) / warmup;
  const int64_t decay = total_steps - 1 - warmup;
  // One optimizer step or none after the warmup: there is no curve to follow.
  if (decay <= 0) return learning_rate;
  const double progress = std::fmin(1.0, static_cast<double>(step - warmup) / decay);
  return minimum + (learning_rate - minimum) * 0.5 * (1 + std::cos(M_PI * progress));
}

}  // namespace reckon
