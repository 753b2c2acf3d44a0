#ifndef RECKON_LEARNER_EXPERIENCE_RECORDED_LOGPROBS_H_
#define RECKON_LEARNER_EXPERIENCE_RECORDED_LOGPROBS_H_

#include <cstdint>
#include <vector>

#include "common/model/backend.h"
#include "learner/experience/experience.h"
#include "proto/config.pb.h"

namespace reckon {

// Saves the scoring pass of samples whose log-probabilities the actor has recorded. With the CPU
// kernels both sides compute the same bits (common/model/kernels/cpu/gemm.h), so what the actor
// recorded under the newest version are the old log-probabilities of PPO. That holds as long as the
// actors' processors compute as the learner's do, so a few samples of each step are scored all the
// same and compared.
//
// The plan of one training step: made from its samples, then asked once the `scored` ones have
// their old_logprobs. The same on every rank, as the samples are.
class RecordedLogProbs {
 public:
  // `backend`, `version`: what the learner computes with; `temperature`: of sampling; `weights`: of
  // actors. Which samples are checked depends on `key` alone: one of 32 that need no pass, and at
  // least one.
  RecordedLogProbs(Backend backend, double temperature, ActorSettings::Weights weights,
                   uint64_t version, uint64_t key, std::vector<Experience>* step);

  // Samples that need a pass, or are checked: in the order of the step, as are the others.
  const std::vector<Experience*>& scored() const { return scored_; }
  const std::vector<Experience*>& recorded() const { return recorded_; }

  // Whether each checked sample was scored as it was recorded, bit by bit. If not, recorded() need
  // a pass too.
  bool Agree() const;
  // The recorded() have as old log-probabilities what was recorded.
  void Adopt() const;

 private:
  std::vector<Experience*> scored_, recorded_;
  std::vector<const Experience*> checked_;  // among scored_
};

}  // namespace reckon

#endif  // RECKON_LEARNER_EXPERIENCE_RECORDED_LOGPROBS_H_
