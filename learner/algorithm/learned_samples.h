#ifndef RECKON_LEARNER_ALGORITHM_LEARNED_SAMPLES_H_
#define RECKON_LEARNER_ALGORITHM_LEARNED_SAMPLES_H_

#include <cstdint>
#include <vector>

#include "learner/algorithm/experience.h"
#include "proto/config.pb.h"

namespace reckon {

// Which samples of a step are learned from, and what long ones cost, as DAPO has it (Yu et al.
// 2025, section 3.2, dynamic sampling, and 3.4, overlong reward shaping).

// Marks the groups whose samples all have the same reward; returns how many others there are.
// Groups stand together.
uint32_t MarkFlatGroups(std::vector<Experience>* step);

// Takes the price of a long sample off its reward (DAPO, eq. 13): none up to max_new_tokens less
// overlong_buffer_len, from there in a straight line to overlong_penalty_factor.
void ChargeLength(const PpoSettings& settings, Experience* sample);

// The others have served to compare with. With filter_groups the first `prompts` groups that are
// not flat, else all groups.
std::vector<const Experience*> LearnedSamples(const PpoSettings& settings,
                                              const std::vector<Experience>& step);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_LEARNED_SAMPLES_H_
