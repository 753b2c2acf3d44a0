#include "learner/orm/reward_head.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr char kFile[] = "/reward_head.json";

absl::StatusOr<std::vector<float>> ParseNumbers(const nlohmann::json& json, const std::string& key,
                                                size_t count) {
  ASSIGN_OR_RETURN(const nlohmann::json* list, GetArray(json, key));
  if (list->size() != count) {
    return absl::InvalidArgumentError(absl::StrCat(key, " has ", list->size(), " numbers, the ",
                                                   "model's hidden_size asks for ", count));
  }
  std::vector<float> out;
  for (const nlohmann::json& number : *list) {
    if (!number.is_number() || !std::isfinite(number.get<float>())) {
      return absl::InvalidArgumentError(absl::StrCat(key, " holds what is no finite number"));
    }
    out.push_back(number.get<float>());
  }
  return out;
}

}  // namespace

RewardHead::RewardHead(int64_t hidden_size, c10::Device device) {
  const auto options = at::TensorOptions(at::kFloat).device(device);
  parameters_ = {{"reward_head.weight", at::zeros({1, hidden_size}, options)},
                 {"reward_head.bias", at::zeros({1}, options)}};
  for (auto& [name, tensor] : parameters_) tensor.set_requires_grad(true);
}

absl::StatusOr<RewardHead> RewardHead::Read(const std::string& folder, int64_t hidden_size,
                                            c10::Device device) {
  const std::string path = folder + kFile;
  RewardHead head(hidden_size, c10::kCPU);
  auto read = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text));
    for (auto& [name, tensor] : head.parameters_) {
      ASSIGN_OR_RETURN(const std::vector<float> values,
                       ParseNumbers(json, name, static_cast<size_t>(tensor.numel())));
      at::Tensor leaf = tensor.detach();
      std::copy(values.begin(), values.end(), leaf.data_ptr<float>());
    }
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (absl::IsNotFound(status)) {
    return absl::NotFoundError(absl::StrCat(
        path, ": not there; an outcome reward model is a folder that an orm stage wrote"));
  }
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  }
  for (auto& [name, tensor] : head.parameters_) tensor = tensor.detach().to(device);
  return head;
}

absl::Status RewardHead::Write(const std::string& folder) const {
  nlohmann::ordered_json json;
  for (const auto& [name, tensor] : parameters_) {
    const at::Tensor host = tensor.detach().to(at::kCPU).contiguous();
    const float* values = host.const_data_ptr<float>();
    json[name] = std::vector<float>(values, values + host.numel());
  }
  return WriteFileAtomically(folder + kFile, json.dump(1) + "\n");
}

at::Tensor RewardHead::Forward(const at::Tensor& hidden) const {
  return at::linear(hidden.to(at::kFloat), parameters_[0].second, parameters_[1].second).squeeze(1);
}

}  // namespace reckon
