#include "learner/algorithm/learned_samples.h"

#include <algorithm>

namespace reckon {

uint32_t MarkFlatGroups(std::vector<Experience>* step) {
  uint32_t others = 0;
  for (auto begin = step->begin(), end = begin; begin != step->end(); begin = end) {
    bool flat = true;
    for (end = begin; end != step->end() && end->group == begin->group; ++end) {
      flat = flat && end->reward == begin->reward;
    }
    for (auto sample = begin; sample != end; ++sample) sample->flat_group = flat;
    others += flat ? 0 : 1;
  }
  return others;
}

void ChargeLength(const PpoSettings& settings, Experience* sample) {
  if (settings.overlong_buffer_len() == 0) return;
  const double buffer = settings.overlong_buffer_len();
  const double over =
      static_cast<double>(sample->length()) - (settings.sampling().max_new_tokens() - buffer);
  sample->reward -= settings.overlong_penalty_factor() * std::clamp(over / buffer, 0.0, 1.0);
}

std::vector<const Experience*> LearnedSamples(const PpoSettings& settings,
                                              const std::vector<Experience>& step) {
  std::vector<const Experience*> out;
  uint32_t groups = 0;
  for (size_t i = 0; i < step.size(); ++i) {
    const Experience& sample = step[i];
    if (settings.filter_groups()) {
      if (sample.flat_group) continue;
      if (i == 0 || step[i - 1].group != sample.group) groups += 1;
      if (groups > settings.prompts()) break;
    }
    if (sample.truncated && settings.mask_truncated()) continue;
    if (sample.length() > 0) out.push_back(&sample);
  }
  return out;
}

}  // namespace reckon
