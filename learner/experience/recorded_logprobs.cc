#include "learner/experience/recorded_logprobs.h"

#include <algorithm>

#include "common/base/rng.h"

namespace reckon {
namespace {

constexpr uint64_t kCheckedOneOf = 32;

// Whether actors record what a scoring pass would compute. Of a greedy draw they record the
// log-probability at temperature 1 (TokenSpan). With IN_FLIGHT, tokens that the newest version drew
// may have seen keys and values of an older one.
bool RecordsWhatIsScored(Backend backend, double temperature, ActorSettings::Weights weights) {
  return backend == Backend::kCpuKernels && temperature > 0 && weights == ActorSettings::DRAIN;
}

}  // namespace

RecordedLogProbs::RecordedLogProbs(Backend backend, double temperature,
                                   ActorSettings::Weights weights, uint64_t version, uint64_t key,
                                   std::vector<Experience>* step) {
  const bool comparable = RecordsWhatIsScored(backend, temperature, weights);
  std::vector<Experience*> candidates;
  for (Experience& sample : *step) {
    // No actor drew an end in the place of a stop string.
    const bool complete = !sample.end_in_place && sample.length() > 0;
    if (comparable && complete && sample.version == version) candidates.push_back(&sample);
  }
  std::vector<bool> checked(step->size()), stands(step->size());
  for (const Experience* sample : candidates) stands[sample - step->data()] = true;
  const CounterRng rng(key);
  for (uint64_t first = 0; first < candidates.size(); first += kCheckedOneOf) {
    const uint64_t count = std::min<uint64_t>(kCheckedOneOf, candidates.size() - first);
    const Experience* sample = candidates[first + rng.Below(count, first)];
    checked[sample - step->data()] = true;
    checked_.push_back(sample);
  }
  for (size_t i = 0; i < step->size(); ++i) {
    (stands[i] && !checked[i] ? recorded_ : scored_).push_back(&(*step)[i]);
  }
}

bool RecordedLogProbs::Agree() const {
  return std::all_of(checked_.begin(), checked_.end(), [](const Experience* sample) {
    return sample->old_logprobs == sample->behaviour_logprobs;
  });
}

void RecordedLogProbs::Adopt() const {
  for (Experience* sample : recorded_) {
    sample->old_logprobs = sample->behaviour_logprobs;
    sample->recorded = true;
  }
}

}  // namespace reckon
