// Advantages, losses, gradients and metrics of one minibatch, for tests/parity/loss_parity.py:
// reads one case a line as JSON and writes one answer a line. Usage: reckon-loss-parity < cases

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <iostream>
#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "google/protobuf/text_format.h"
#include "learner/loss/ppo_loss.h"
#include "learner/loss/reward_loss.h"
#include "learner/parallel/single.h"

namespace reckon {
namespace {

using nlohmann::json;

std::vector<float> Floats(const json& array) { return array.get<std::vector<float>>(); }

at::Tensor Leaf(const std::vector<float>& values, std::vector<int64_t> shape) {
  at::Tensor out = at::empty(shape, at::kFloat);
  std::copy(values.begin(), values.end(), out.data_ptr<float>());
  return out.set_requires_grad(true);
}

json ToJson(const at::Tensor& values) {
  if (!values.defined()) return json::array();
  const at::Tensor flat = values.detach().contiguous();
  return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
}

struct Sample {
  Experience experience;
  at::Tensor logprobs, hidden;  // leaves
};

Sample ReadSample(const json& from) {
  Sample out;
  Experience& e = out.experience;
  e.group = from["group"];
  e.reward = from["reward"];
  e.old_logprobs = Floats(from["old"]);
  e.behaviour_logprobs = Floats(from["behaviour"]);
  e.step_rewards = Floats(from["steps"]);
  e.ref_logprobs = Floats(from["ref"]);
  e.old_values = Floats(from["values"]);
  const auto n = static_cast<int64_t>(e.length());
  out.logprobs = Leaf(Floats(from["logprobs"]), {n});
  const std::vector<float> hidden = Floats(from["hidden"]);
  out.hidden = Leaf(hidden, {n, static_cast<int64_t>(hidden.size()) / n});
  return out;
}

// A reward model's loss. Every sample has the hidden states of its scored prefixes and a label.
json AnswerReward(const json& question) {
  RewardHead head(
      question["samples"][0]["hidden"].size() / question["samples"][0]["prefixes"].get<size_t>(),
      at::kCPU);
  const std::vector<float> weights = Floats(question["head"]);
  for (const auto& [name, tensor] : head.parameters()) {
    at::Tensor leaf = tensor.detach();
    const float* from = name == "reward_head.bias" ? &weights.back() : weights.data();
    std::copy(from, from + leaf.numel(), leaf.data_ptr<float>());
  }
  std::vector<at::Tensor> hidden;
  std::vector<TrainingSequence> sequences;
  for (const json& sample : question["samples"]) {
    const int64_t prefixes = sample["prefixes"];
    const std::vector<float> states = Floats(sample["hidden"]);
    hidden.push_back(Leaf(states, {prefixes, static_cast<int64_t>(states.size()) / prefixes}));
    sequences.emplace_back();
    sequences.back().target = sample["target"];
    sequences.back().loss.assign(prefixes, true);
  }
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  RewardLoss loss(question["reward_loss"] == "MSE" ? OrmSettings::MSE : OrmSettings::BCE, &head);
  loss.Begin(batch);
  double total = 0;
  for (const json& indices : question["micro"]) {
    const auto chosen = indices.get<std::vector<size_t>>();
    MicroBatch micro;
    std::vector<at::Tensor> states;
    for (size_t i : chosen) {
      states.push_back(hidden[i]);
      micro.counts.push_back(hidden[i].size(0));
      micro.loss_tokens += hidden[i].size(0);
    }
    const at::Tensor part = loss.Of(chosen, micro, {at::cat(states), {}, {}});
    part.backward();
    total += part.item<double>();
  }
  json out;
  out["loss"] = total;
  for (const at::Tensor& states : hidden) out["grad_hidden"].push_back(ToJson(states.grad()));
  for (const auto& [name, tensor] : head.parameters()) {
    for (const json& value : ToJson(tensor.grad())) out["grad_head"].push_back(value);
  }
  return out;
}

absl::StatusOr<json> Answer(const json& question) {
  if (question.contains("reward_loss")) return AnswerReward(question);
  PpoSettings settings;
  if (!google::protobuf::TextFormat::ParseFromString(question["settings"].get<std::string>(),
                                                     &settings)) {
    return absl::InvalidArgumentError("settings: not a textproto of PpoSettings");
  }
  std::vector<Sample> samples;
  for (const json& sample : question["samples"]) samples.push_back(ReadSample(sample));
  std::vector<Experience> step;
  for (const Sample& sample : samples) step.push_back(sample.experience);
  const double kl_coef = settings.kl().coef();
  json out;
  out["kl"] = FillAdvantages(settings, kl_coef, &step).mean;

  const bool gae = settings.advantage().estimator() == PpoSettings::Advantage::GAE;
  Critic critic(samples[0].hidden.size(1), settings.critic().detach(), 5, Backend::kCpuKernels);
  for (const auto& [name, tensor] : critic.parameters()) {
    // Not zero, with which the first layer would have no gradient.
    if (name == "value_head.2.weight") tensor.detach().fill_(0.25);
    out["head"][name] = ToJson(tensor);
  }
  critic.Repack();
  PpoLoss loss(settings, kl_coef, gae ? &critic : nullptr);
  std::vector<Experience*> batch;
  for (Experience& e : step) batch.push_back(&e);
  loss.SetBatch(batch);
  double total = 0;
  for (const json& indices : question["micro"]) {
    const auto sequences = indices.get<std::vector<size_t>>();
    std::vector<at::Tensor> logprobs, hidden;
    MicroBatch micro;
    for (size_t i : sequences) {
      logprobs.push_back(samples[i].logprobs);
      hidden.push_back(samples[i].hidden);
      micro.loss_tokens += static_cast<int64_t>(step[i].length());
    }
    const at::Tensor part = loss.Of(sequences, micro, {at::cat(hidden), at::cat(logprobs), {}});
    part.backward();
    total += part.item<double>();
  }
  out["loss"] = total;
  for (size_t i = 0; i < samples.size(); ++i) {
    out["advantages"].push_back(step[i].advantages);
    out["returns"].push_back(step[i].returns);
    out["grad_logprobs"].push_back(ToJson(samples[i].logprobs.grad()));
    out["grad_hidden"].push_back(ToJson(samples[i].hidden.grad()));
  }
  for (const auto& [name, tensor] : critic.parameters())
    out["grad_head"][name] = ToJson(tensor.grad());
  std::map<std::string, double> metrics;
  const std::unique_ptr<Parallel> single = MakeSingle();
  RETURN_IF_ERROR(loss.Metrics(*single, &metrics));
  out["metrics"] = metrics;
  return out;
}

}  // namespace
}  // namespace reckon

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    auto answer = reckon::Answer(nlohmann::json::parse(line));
    if (!answer.ok()) {
      std::cerr << answer.status() << "\n";
      return 1;
    }
    std::cout << answer->dump() << "\n";
  }
}
