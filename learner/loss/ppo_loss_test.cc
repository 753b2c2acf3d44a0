// A step of online learning gives the same result however its work is divided into micro-batches
// and among ranks. tests/parity/loss_parity.py compares its formulas with an oracle.

#include "learner/loss/ppo_loss.h"

#include <cmath>

#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "learner/update/scoring.h"
#include "tests/support/rank_threads.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

// Eight samples of four prompts.
std::vector<Experience> RandomStep() {
  const CounterRng rng(11);
  uint64_t draw = 0;
  std::vector<Experience> step(8);
  for (size_t i = 0; i < step.size(); ++i) {
    std::vector<uint32_t> prompt(1 + rng.Below(20, draw++)), completion(1 + rng.Below(30, draw++));
    for (uint32_t& token : prompt) token = static_cast<uint32_t>(rng.Below(kTinyVocab, draw++));
    for (uint32_t& token : completion) token = static_cast<uint32_t>(rng.Below(kTinyVocab, draw++));
    step[i].sequence = MakeSequence(prompt, completion);
    step[i].group = i / 2;
    step[i].reward = static_cast<double>(rng.Below(2, draw++));
    for (size_t t = 0; t < completion.size(); ++t) {
      step[i].behaviour_logprobs.push_back(static_cast<float>(-5.5 - rng.Uniform(draw++)));
      step[i].ref_logprobs.push_back(static_cast<float>(-5.5 - rng.Uniform(draw++)));
    }
  }
  return step;
}

struct Outcome {
  double loss = 0, norm = 0;
  std::vector<float> gradient;
  std::map<std::string, double> metrics;
};

// What is trained: the weights or adapters, and how many layers the critic has for itself.
struct Shape {
  int64_t value_layers = 0, lora_rank = 0;
};
class PpoLossTest : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, PpoLossTest,
                         testing::Values(Shape{0, 0}, Shape{1, 0}, Shape{1, 4}));

Outcome OneStep(const Shape& shape, Parallel* parallel, int64_t micro_batch_tokens) {
  Weights weights = MakeTinyModel();
  auto model = std::make_unique<Transformer>(*ModelConfig::Parse(weights.manifest.config_json()),
                                             Dtype::kFp32);
  EXPECT_TRUE(model->Load(weights.manifest, weights.bytes->bytes(), true).ok());
  if (shape.lora_rank > 0) model->AddAdapters(shape.lora_rank, 16, 1);
  PpoSettings settings;
  settings.mutable_advantage()->set_whiten(true);
  settings.mutable_critic()->set_detach(false);
  Critic critic(*model, shape.value_layers, settings.critic().detach(), 1);
  EXPECT_TRUE(critic.Load(weights.manifest, weights.bytes->bytes()).ok());
  critic.parameters()[2].second.detach().fill_(0.1);
  TrainingSettings training;
  training.set_max_grad_norm(0);
  auto update = PolicyUpdate::Create(model.get(), parallel, training, micro_batch_tokens,
                                     critic.parameters());

  std::vector<Experience> step = RandomStep();
  std::vector<const TrainingSequence*> sequences;
  std::vector<const Experience*> batch;
  for (const Experience& e : step) {
    sequences.push_back(&e.sequence);
    batch.push_back(&e);
  }
  TokenValues logprobs, values;
  const auto head = [&](const MicroBatch& micro, const TokenStates& states) {
    return critic.Values(micro, states);
  };
  EXPECT_TRUE(ScoreTokens(*model, *parallel, sequences, micro_batch_tokens,
                          {.tap_layer = critic.tap_layer()}, &logprobs, head, &values)
                  .ok());
  for (size_t i = 0; i < step.size(); ++i) {
    // As if the policy had moved since, so that something is clipped.
    for (float& logprob : logprobs[i]) logprob += i % 2 == 0 ? 0.3f : -0.1f;
    step[i].old_logprobs = logprobs[i];
    step[i].old_values = values[i];
  }
  FillAdvantages(settings, 0.05, &step);
  PpoLoss loss(settings, 0.05, &critic);
  loss.SetBatch(batch);
  auto result = update->Step(sequences, 1e-3, &loss);
  EXPECT_TRUE(result.ok()) << result.status();
  Outcome out{result->loss, result->grad_norm, update->moments().first, {}};
  EXPECT_TRUE(loss.Metrics(*parallel, &out.metrics).ok());
  return out;
}

void ExpectClose(const Outcome& a, const Outcome& b) {
  EXPECT_NEAR(a.loss, b.loss, 1e-5 * std::abs(a.loss) + 1e-6);
  EXPECT_NEAR(a.norm / b.norm, 1, 1e-5);
  for (const auto& [name, value] : a.metrics) EXPECT_NEAR(value, b.metrics.at(name), 1e-5) << name;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.gradient.size(); ++i) {
    difference += std::pow(a.gradient[i] - b.gradient[i], 2);
    norm += std::pow(a.gradient[i], 2);
  }
  EXPECT_GT(norm, 0);
  EXPECT_LT(std::sqrt(difference), 1e-5 * std::sqrt(norm));
}

TEST_P(PpoLossTest, AStepIsTheSameForAnyMicroBatchSize) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  const Outcome whole = OneStep(GetParam(), single.get(), 100000);
  EXPECT_GT(whole.metrics.at("actor/pg_clipfrac"), 0.05);
  ExpectClose(whole, OneStep(GetParam(), single.get(), 64));
  ExpectClose(whole, OneStep(GetParam(), single.get(), 1));
}

TEST_P(PpoLossTest, AStepIsTheSameForOneRankTwoAndFour) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  const Outcome alone = OneStep(GetParam(), single.get(), 64);
  for (int world : {2, 4}) {
    std::vector<Outcome> ranks(world);
    std::stop_source stop;
    AsRanks(world, &stop, [&](Parallel& parallel) {
      ranks[parallel.rank()] = OneStep(GetParam(), &parallel, 64);
    });
    for (const Outcome& rank : ranks) ExpectClose(alone, rank);
  }
}

// Three groups of two samples: rewards that differ, that are equal, and a sample alone.
std::vector<Experience> GroupsWithKl() {
  std::vector<Experience> step(5);
  for (size_t i = 0; i < step.size(); ++i) {
    step[i].group = i / 2;
    step[i].reward = i == 1 ? 0 : 1;
    step[i].behaviour_logprobs = {-1, -1, -1};
    step[i].old_logprobs = {-1, -1, -1};
    step[i].ref_logprobs = {-1, -1.5f, -2};  // K1: 0, 0.5, 1
  }
  step[3].ref_logprobs = {-1, -1, -1};
  return step;
}

TEST(FillAdvantagesTest, AGroupOfOneRewardTeachesNothingButItsKl) {
  const double deviation = std::sqrt(0.5);  // of {1, 0}, with K - 1 below
  for (const auto& [estimator, win] :
       {std::pair(PpoSettings::Advantage::GRPO, 0.5 / (deviation + 1e-6)),
        std::pair(PpoSettings::Advantage::DR_GRPO, 0.5),
        std::pair(PpoSettings::Advantage::RLOO, 1.0)}) {
    PpoSettings settings;
    settings.mutable_advantage()->set_estimator(estimator);
    settings.mutable_advantage()->set_whiten(false);
    std::vector<Experience> step = GroupsWithKl();
    const TokenKl kl = FillAdvantages(settings, 0.1, &step);
    EXPECT_NEAR(kl.mean, 4 * 1.5 / 15, 1e-6);
    EXPECT_EQ(kl.clamped, 0);
    const double later[] = {0.15, 0.15, 0.1};  // 0.1 x the KL of this token and the later ones
    for (size_t t = 0; t < 3; ++t) {
      EXPECT_NEAR(step[0].advantages[t], win - later[t], 1e-6);
      EXPECT_NEAR(step[1].advantages[t], -win - later[t], 1e-6);
      EXPECT_NEAR(step[2].advantages[t], -later[t], 1e-6);
      EXPECT_EQ(step[3].advantages[t], 0);
      EXPECT_NEAR(step[4].advantages[t], -later[t], 1e-6);
    }
    settings.mutable_kl()->set_place(PpoSettings::Kl::LOSS);
    FillAdvantages(settings, 0.1, &step);
    EXPECT_THAT(step[2].advantages, testing::Each(0));
  }
}

TEST(FillAdvantagesTest, FarFromTheReferenceEverythingIsFiniteAndCounted) {
  for (auto estimator : {PpoSettings::Advantage::GAE, PpoSettings::Advantage::GRPO}) {
    PpoSettings settings;
    settings.mutable_advantage()->set_estimator(estimator);
    settings.mutable_kl()->set_estimator(PpoSettings::Kl::K3);
    std::vector<Experience> step = GroupsWithKl();
    for (Experience& e : step) e.old_values = {0, 0, 0};
    step[0].ref_logprobs = {-1, 0, 0};
    step[0].old_logprobs = {-1, -200, -1e5f};
    const TokenKl kl = FillAdvantages(settings, 0.05, &step);
    EXPECT_NEAR(kl.clamped, 2 / 15.0, 1e-9);
    for (const Experience& e : step) {
      for (float advantage : e.advantages) EXPECT_TRUE(std::isfinite(advantage));
    }
  }
}

}  // namespace
}  // namespace reckon
