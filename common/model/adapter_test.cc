#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <cmath>
#include <numeric>

#include "common/model/random_model.h"
#include "common/model/top_layers.h"
#include "common/model/transformer.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr int64_t kRows = 60;

at::Tensor Range(int64_t n) {
  at::Tensor out = at::empty({n}, at::kInt);
  std::iota(out.mutable_data_ptr<int32_t>(), out.mutable_data_ptr<int32_t>() + n, 0);
  return out;
}

struct Case {
  std::string name;
  Compute compute;
  Backend backend;
};

class AdapterTest : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Transformer> Make(const RandomWeights& weights) {
    auto model = Transformer::Create(SmallConfig(), GetParam().compute, GetParam().backend).value();
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
    return model;
  }
  at::Tensor LogProbs(Transformer& model) {
    auto attention = PackedAttention(model.config(), {0, kRows}, model.backend());
    const at::Tensor hidden = model.Forward(Range(kRows), Range(kRows), *attention);
    return model.LogProb(hidden, Range(kRows), 1.0);
  }
  // As after some steps: B is no longer zero.
  void Move(Transformer& model) {
    at::NoGradGuard no_grad;
    CounterRng rng(5);
    uint64_t next = 0;
    for (auto& [name, parameter] : model.Parameters()) {
      auto* values = parameter.mutable_data_ptr<float>();
      for (int64_t i = 0; i < parameter.numel(); ++i) {
        values[i] += static_cast<float>(0.4 * rng.Uniform(next++) - 0.2);
      }
    }
    model.Repack();
  }
};

TEST_P(AdapterTest, ChangeNothingAtFirst) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  auto plain = Make(weights), adapted = Make(weights);
  adapted->AddAdapters(4, 8, 1);
  at::NoGradGuard no_grad;
  EXPECT_TRUE(LogProbs(*plain).equal(LogProbs(*adapted)));
  EXPECT_EQ(adapted->Parameters().size(), 2u * 7 * 2);
  EXPECT_EQ(adapted->Parameters()[0].first, "model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(adapted->Parameters()[1].first, "model.layers.0.self_attn.q_proj.lora_B.weight");
}

TEST_P(AdapterTest, SwitchedOffAreTheModelThatTheyWereAddedTo) {
  auto model = Make(MakeRandomWeights(SmallConfig(), 1));
  model->AddAdapters(4, 8, 1);
  at::NoGradGuard no_grad;
  const at::Tensor before = LogProbs(*model);
  Move(*model);
  const at::Tensor moved = LogProbs(*model);
  EXPECT_FALSE(moved.equal(before));
  model->SwitchAdapters(false);
  EXPECT_TRUE(LogProbs(*model).equal(before));
  model->SwitchAdapters(true);
  EXPECT_TRUE(LogProbs(*model).equal(moved));
}

// What actors load is the merged model: they must compute what the learner does.
TEST_P(AdapterTest, AreOneWithAModelOfTheMergedWeights) {
  auto model = Make(MakeRandomWeights(SmallConfig(), 1));
  model->AddAdapters(4, 8, 1);
  Move(*model);
  RandomWeights merged = MakeRandomWeights(SmallConfig(), 1);
  const NamedTensors tensors = model->MergedWeights();
  for (int i = 0; i < merged.manifest.tensors_size(); ++i) {
    const TensorEntry& entry = merged.manifest.tensors(i);
    ASSERT_EQ(tensors[i].first, entry.name());
    std::memcpy(merged.bytes.data() + entry.offset(), tensors[i].second.const_data_ptr(),
                tensors[i].second.nbytes());
  }
  at::NoGradGuard no_grad;
  EXPECT_TRUE(LogProbs(*Make(merged)).equal(LogProbs(*model)));
  // Adapters added to adapters begin where those ended, up to the rounding of a published version.
  const at::Tensor before = LogProbs(*model);
  model->AddAdapters(2, 8, 1);
  EXPECT_TRUE(LogProbs(*model).equal(before));
}

TEST_P(AdapterTest, HaveTheGradientsThatFollowFromTheFullWeights) {
  auto adapted = Make(MakeRandomWeights(SmallConfig(), 1));
  adapted->AddAdapters(4, 10, 1);
  Move(*adapted);
  LogProbs(*adapted).mean().backward();
  // The same weights, merged and trained whole.
  auto full = Make(MakeRandomWeights(SmallConfig(), 1));
  {
    at::NoGradGuard no_grad;
    const NamedTensors merged = adapted->MergedWeights();
    NamedTensors parameters = full->Parameters();
    for (size_t i = 0; i < parameters.size(); ++i) parameters[i].second.copy_(merged[i].second);
    full->Repack();
  }
  LogProbs(*full).mean().backward();
  std::map<std::string, at::Tensor> whole;
  for (auto& [name, tensor] : full->Parameters()) whole[name] = tensor.grad();
  const double tolerance = GetParam().compute == Compute::kFp32 ? 1e-5 : 0.02;
  const NamedTensors parameters = adapted->Parameters();
  for (size_t i = 0; i < parameters.size(); i += 2) {
    const std::string& name = parameters[i].first;
    const at::Tensor g = whole.at(name.substr(0, name.find(".lora_A")) + ".weight");
    const at::Tensor a = parameters[i].second.detach(), b = parameters[i + 1].second.detach();
    const at::Tensor da = at::mm(b.t(), g).mul(10.0 / 4), db = at::mm(g, a.t()).mul(10.0 / 4);
    auto error = [](const at::Tensor& x, const at::Tensor& y) {
      return (x - y).norm().item<double>() / y.norm().item<double>();
    };
    EXPECT_LT(error(parameters[i].second.grad(), da), tolerance) << name;
    EXPECT_LT(error(parameters[i + 1].second.grad(), db), tolerance) << name;
  }
}

// Layers of a critic that are copies of the policy's compute what the policy does.
TEST_P(AdapterTest, TopLayersGoOnFromTheTappedStream) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  auto model = Make(weights);
  TopLayers top(SmallConfig(), 1, GetParam().compute, GetParam().backend);
  ASSERT_TRUE(top.Load(weights.manifest, weights.bytes).ok());
  ASSERT_EQ(top.first_layer(), 1);
  auto run = [&](bool detach) {
    for (auto& [name, parameter] : model->Parameters()) parameter.mutable_grad().reset();
    for (auto& [name, parameter] : top.Parameters()) parameter.mutable_grad().reset();
    auto attention = PackedAttention(model->config(), {0, kRows}, model->backend());
    Tap tap = {.layer = top.first_layer(), .residual = {}};
    const at::Tensor hidden = model->Forward(Range(kRows), Range(kRows), *attention, &tap);
    const at::Tensor residual = detach ? tap.residual.detach() : tap.residual;
    const at::Tensor own = top.Forward(residual, Range(kRows), *attention);
    EXPECT_TRUE(own.equal(hidden));
    if (own.requires_grad()) own.to(at::kFloat).square().sum().backward();
  };
  run(/*detach=*/true);
  for (auto& [name, parameter] : top.Parameters()) {
    ASSERT_TRUE(parameter.grad().defined()) << name;
    EXPECT_GT(parameter.grad().norm().item<float>(), 0) << name;
  }
  EXPECT_FALSE(model->Parameters()[0].second.grad().defined());
  run(/*detach=*/false);
  EXPECT_GT(model->Parameters()[0].second.grad().norm().item<float>(), 0);
  at::NoGradGuard no_grad;
  run(/*detach=*/false);
}

INSTANTIATE_TEST_SUITE_P(Backends, AdapterTest,
                         testing::Values(Case{"OwnFp32", Compute::kFp32, Backend::kOwn},
                                         Case{"OwnBf16", Compute::kBf16, Backend::kOwn},
                                         Case{"AtenFp32", Compute::kFp32, Backend::kAtenCpu},
                                         Case{"AtenBf16", Compute::kBf16, Backend::kAtenCpu}),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

}  // namespace
}  // namespace reckon
