#include "learner/update/critic.h"

#include <ATen/TensorOperators.h>

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

class CriticTest : public testing::Test {
 protected:
  CriticTest() : weights_(MakeTinyModel()) {
    auto config = ModelConfig::Parse(weights_.manifest.texts().config_json());
    EXPECT_TRUE(config.ok()) << config.status();
    model_ = std::make_unique<Transformer>(*config, Dtype::kFp32);
    EXPECT_TRUE(model_->Load(weights_.manifest, weights_.bytes->bytes(), true).ok());
    sequence_ = MakeSequence({1, 2, 3}, {4, 5, 6, 7});
    micro_ = PackSequences({&sequence_});
  }

  at::Tensor Values(Critic& critic) {
    return critic.Values(micro_, ForwardTokens(*model_, micro_, {.tap_layer = critic.tap_layer()}));
  }
  // Away from zero, where all values and the first layer's gradient are.
  static void Perturb(Critic& critic) {
    critic.parameters()[2].second.detach().fill_(0.25);
    critic.Repack();
  }

  double PolicyGradient() {
    double sum = 0;
    for (auto& [name, parameter] : model_->Parameters()) {
      if (parameter.grad().defined()) sum += parameter.grad().abs().sum().item<double>();
    }
    return sum;
  }

  const Weights weights_;
  std::unique_ptr<Transformer> model_;
  TrainingSequence sequence_;
  MicroBatch micro_;
};

TEST_F(CriticTest, TheFirstValuesAreZeroOneALossToken) {
  for (int64_t layers : {0, 1}) {
    Critic critic(*model_, layers, true, 7);
    ASSERT_TRUE(critic.Load(weights_.manifest, weights_.bytes->bytes()).ok());
    const at::Tensor values = Values(critic);
    EXPECT_EQ(values.numel(), 4);
    EXPECT_EQ(values.abs().sum().item<float>(), 0);
  }
}

TEST_F(CriticTest, TheHeadStartsUniformlyAroundZero) {
  Critic critic(*model_, 0, true, 7);
  const at::Tensor inner = critic.parameters()[0].second.detach();
  const double bound = 1 / std::sqrt(static_cast<double>(model_->config().hidden_size));
  EXPECT_NEAR(inner.mean().item<double>() / bound, 0, 0.05);
  EXPECT_LE(inner.abs().max().item<double>(), bound);
  EXPECT_GT(inner.abs().max().item<double>(), 0.99 * bound);
}

TEST_F(CriticTest, OwnLayersStartAsThoseOfThePolicy) {
  Critic head(*model_, 0, true, 7), layers(*model_, 1, true, 7);
  EXPECT_EQ(head.tap_layer(), kNoTap);
  EXPECT_EQ(layers.tap_layer(), model_->config().num_layers - 1);
  ASSERT_TRUE(layers.Load(weights_.manifest, weights_.bytes->bytes()).ok());
  Perturb(head);
  Perturb(layers);
  const at::Tensor a = Values(head), b = Values(layers);
  EXPECT_GT(a.abs().sum().item<float>(), 0);
  EXPECT_LT((a - b).abs().max().item<float>(), 1e-5);
}

TEST_F(CriticTest, ItsGradientReachesThePolicyUnlessDetached) {
  for (int64_t layers : {0, 1}) {
    for (bool detach : {true, false}) {
      for (auto& [name, parameter] : model_->Parameters()) parameter.mutable_grad().reset();
      Critic critic(*model_, layers, detach, 7);
      ASSERT_TRUE(critic.Load(weights_.manifest, weights_.bytes->bytes()).ok());
      Perturb(critic);
      Values(critic).sum().backward();
      EXPECT_EQ(PolicyGradient() == 0, detach) << layers;
      for (auto& [name, parameter] : critic.parameters()) {
        EXPECT_TRUE(parameter.grad().defined()) << name;
      }
    }
  }
}

TEST_F(CriticTest, RepackMakesChangedLayersCount) {
  Critic critic(*model_, 1, true, 7);
  ASSERT_TRUE(critic.Load(weights_.manifest, weights_.bytes->bytes()).ok());
  Perturb(critic);
  const at::Tensor before = Values(critic).clone();
  for (auto& [name, parameter] : critic.parameters()) {
    if (name.find("critic.") == 0) parameter.detach().mul_(1.5);
  }
  critic.Repack();
  EXPECT_GT((Values(critic) - before).abs().max().item<float>(), 1e-4);
}

}  // namespace
}  // namespace reckon
