#ifndef RECKON_LEARNER_ORM_REWARD_HEAD_H_
#define RECKON_LEARNER_ORM_REWARD_HEAD_H_

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "learner/update/policy_update.h"

namespace reckon {

// The outcome reward model on top of a transformer's last hidden state: hidden -> 1, the logit of
// the probability that what begins like this ends in the right answer. fp32; starts at zero, so
// that every probability is one half.
class RewardHead {
 public:
  RewardHead(int64_t hidden_size, c10::Device device);
  // From the reward_head.json of a folder that an orm stage wrote. Errors name the file and what is
  // wrong with it.
  static absl::StatusOr<RewardHead> Read(const std::string& folder, int64_t hidden_size,
                                         c10::Device device);
  absl::Status Write(const std::string& folder) const;

  // hidden [n, hidden] -> logits [n] fp32, differentiable.
  at::Tensor Forward(const at::Tensor& hidden) const;
  // fp32 leaves that require gradients.
  const NamedTensors& parameters() const { return parameters_; }

 private:
  NamedTensors parameters_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ORM_REWARD_HEAD_H_
