#include "learner/experience/reward_head.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/message_json.h"
#include "proto/checkpoint.pb.h"

namespace reckon {
namespace {

constexpr char kFile[] = "/reward_head.json";

absl::Status Fill(const google::protobuf::RepeatedField<float>& numbers, const std::string& name,
                  at::Tensor to) {
  if (numbers.size() != to.numel()) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " has ", numbers.size(), " numbers, but the model's hidden_size needs ", to.numel()));
  }
  if (!std::all_of(numbers.begin(), numbers.end(), [](float x) { return std::isfinite(x); })) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has a number that is not finite"));
  }
  std::copy(numbers.begin(), numbers.end(), to.data_ptr<float>());
  return absl::OkStatus();
}

}  // namespace

RewardHead::RewardHead(int64_t hidden_size, c10::Device device) {
  const auto options = at::TensorOptions(at::kFloat).device(device);
  parameters_ = {{"reward_head.weight", at::zeros({1, hidden_size}, options)},
                 {"reward_head.bias", at::zeros({1}, options)}};
  for (auto& [name, tensor] : parameters_) tensor.set_requires_grad(true);
}

absl::StatusOr<std::string> RewardHead::ReadText(const std::string& folder) {
  absl::StatusOr<std::string> text = ReadFile(folder + kFile);
  if (!absl::IsNotFound(text.status())) return text;
  return absl::NotFoundError(
      absl::StrCat(folder, kFile,
                   " does not exist; an outcome reward model is a folder that an orm stage wrote"));
}

absl::StatusOr<RewardHead> RewardHead::Parse(const std::string& text, const std::string& folder,
                                             int64_t hidden_size, c10::Device device) {
  RewardHead head(hidden_size, c10::kCPU);
  auto read = [&]() -> absl::Status {
    StoredRewardHead stored;
    RETURN_IF_ERROR(MessageFromJson(text, &stored));
    const auto& [weight, bias] = std::tie(head.parameters_[0], head.parameters_[1]);
    RETURN_IF_ERROR(Fill(stored.weight(), weight.first, weight.second.detach()));
    RETURN_IF_ERROR(Fill(stored.bias(), bias.first, bias.second.detach()));
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat(folder, kFile, ": ", status.message()));
  }
  for (auto& [name, tensor] : head.parameters_) tensor = tensor.detach().to(device);
  return head;
}

absl::Status RewardHead::Write(const std::string& folder) const {
  StoredRewardHead stored;
  const at::Tensor weight = parameters_[0].second.detach().to(at::kCPU).contiguous();
  const auto* values = weight.const_data_ptr<float>();
  stored.mutable_weight()->Assign(values, values + weight.numel());
  stored.add_bias(parameters_[1].second.item<float>());
  return WriteFileAtomically(folder + kFile, MessageToJson(stored));
}

at::Tensor RewardHead::Forward(const at::Tensor& hidden) const {
  return at::linear(hidden.to(at::kFloat), parameters_[0].second, parameters_[1].second).squeeze(1);
}

}  // namespace reckon
