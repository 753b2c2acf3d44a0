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
  // The text of reward_head.json in a folder that an orm stage wrote. Errors name the file.
  static absl::StatusOr<std::string> ReadText(const std::string& folder);
  // Reads such a text. Errors name the folder, for humans, and what is wrong.
  static absl::StatusOr<RewardHead> Parse(const std::string& text, const std::string& folder,
                                          int64_t hidden_size, c10::Device device);
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
