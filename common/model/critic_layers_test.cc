#include "common/model/critic_layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <memory>
#include <string>

#include "common/model/transformer.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

namespace reckon {
namespace {

struct CriticCase {
  std::string name;
  Dtype dtype;
  Backend backend;
};

class CriticLayersTest : public testing::TestWithParam<CriticCase> {};

// With the policy's weights they compute what the policy does.
TEST_P(CriticLayersTest, ContinueFromTheTappedStream) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  auto model = std::make_unique<Transformer>(SmallConfig(), GetParam().dtype, GetParam().backend);
  ASSERT_TRUE(model->Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
  CriticLayers top(SmallConfig(), 1, GetParam().dtype, GetParam().backend);
  ASSERT_TRUE(top.Load(weights.manifest, weights.bytes).ok());
  ASSERT_EQ(top.first_layer(), 1);
  auto run = [&](bool detach) {
    for (auto& [name, parameter] : model->Parameters()) parameter.mutable_grad().reset();
    for (auto& [name, parameter] : top.Parameters()) parameter.mutable_grad().reset();
    auto attention = PackedAttention(model->config(), {0, 60}, model->backend());
    const at::Tensor rows = Ints(Positions(0, 60));
    Tap tap = {.layer = top.first_layer(), .residual = {}};
    const at::Tensor hidden = model->Forward(rows, rows, *attention, &tap);
    const at::Tensor residual = detach ? tap.residual.detach() : tap.residual;
    const at::Tensor own = top.Forward(residual, rows, *attention);
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

INSTANTIATE_TEST_SUITE_P(Backends, CriticLayersTest,
                         testing::Values(CriticCase{"OwnFp32", Dtype::kFp32, Backend::kCpuKernels},
                                         CriticCase{"OwnBf16", Dtype::kBf16, Backend::kCpuKernels},
                                         CriticCase{"AtenFp32", Dtype::kFp32, Backend::kTorchCpu},
                                         CriticCase{"AtenBf16", Dtype::kBf16, Backend::kTorchCpu}),
                         [](const testing::TestParamInfo<CriticCase>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace reckon
