#ifndef RECKON_LEARNER_UPDATE_SCHEDULE_H_
#define RECKON_LEARNER_UPDATE_SCHEDULE_H_

#include <cstdint>

#include "proto/config.pb.h"

namespace reckon {

// Learning rate of optimizer step `step` (from 0) of `total_steps`. With p the learning_rate, m the
// min_learning_rate and w = ceil(warmup_ratio * total_steps):
//   step < w   p (step + 1) / w, so that the first step already learns something
//   step >= w  m + (p - m) (1 + cos(pi x)) / 2, x from 0 at step w to 1 at the last step
double LearningRate(const TrainingSettings& training, int64_t step, int64_t total_steps);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_SCHEDULE_H_
