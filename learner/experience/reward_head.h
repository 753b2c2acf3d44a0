#ifndef RECKON_LEARNER_EXPERIENCE_REWARD_HEAD_H_
#define RECKON_LEARNER_EXPERIENCE_REWARD_HEAD_H_

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "learner/update/policy_update.h"

namespace reckon {

// The head of an outcome reward model: a linear layer from a transformer's last hidden state to the
// logit of the probability that the solution so far ends in the right answer. fp32; starts at zero,
// i.e. at probability 1/2 everywhere.
class RewardHead {
 public:
  RewardHead(int64_t hidden_size, c10::Device device);
  // Reads reward_head.json of a folder that an orm stage wrote. Errors name the file and what is
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

#endif  // RECKON_LEARNER_EXPERIENCE_REWARD_HEAD_H_
