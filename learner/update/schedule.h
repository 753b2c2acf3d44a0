#ifndef RECKON_LEARNER_UPDATE_SCHEDULE_H_
#define RECKON_LEARNER_UPDATE_SCHEDULE_H_

#include <cstdint>

#include "proto/config.pb.h"

namespace reckon {

// Learning rate of step `step` (0-based) of `total_steps`: linear warm-up over the first
// ceil(warmup_ratio * total_steps) steps, the first of which is already above zero, then a half
// cosine that reaches min_learning_rate at the last step.
double LearningRate(const TrainingSettings& training, int64_t step, int64_t total_steps);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_SCHEDULE_H_
