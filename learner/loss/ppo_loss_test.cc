// A step of online learning gives the same result however its work is divided into micro-batches
// and among ranks. tests/parity/loss_parity.py compares its formulas with an oracle.

#include "learner/loss/ppo_loss.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

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
  auto model = std::make_unique<Transformer>(
      *ModelConfig::Parse(weights.manifest.texts().config_json()), Dtype::kFp32);
  EXPECT_TRUE(model->Load(weights.manifest, weights.bytes->bytes(), true).ok());
  if (shape.lora_rank > 0) model->AddAdapters(shape.lora_rank, 16, 1);
  PpoSettings settings;
  settings.mutable_advantage()->set_whiten(true);
  settings.mutable_critic()->set_detach(false);
  Critic critic(*model, shape.value_layers, settings.critic().detach(), 1);
  EXPECT_TRUE(critic.Load(weights.manifest, weights.bytes->bytes()).ok());
  critic.parameters()[2].second.detach().fill_(0.1);
  critic.Repack();
  TrainingSettings training;
  training.set_max_grad_norm(0);
  auto update =
      PolicyUpdate::Create(model.get(), parallel, training, micro_batch_tokens, critic.Trained());

  std::vector<Experience> step = RandomStep();
  std::vector<const TrainingSequence*> sequences;
  std::vector<Experience*> batch;
  for (Experience& e : step) {
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

// What two minibatches of a step leave: the first of five samples, whose values its own pass gives
// with `in_pass`, the second of three.
struct Learned {
  std::vector<std::vector<float>> values, advantages, returns;
  std::vector<float> parameters;
  std::map<std::string, double> metrics;
};

Learned TwoMinibatches(const Shape& shape, Dtype dtype, Parallel* parallel, bool in_pass) {
  Weights weights = MakeTinyModel();
  Transformer model(*ModelConfig::Parse(weights.manifest.texts().config_json()), dtype);
  EXPECT_TRUE(model.Load(weights.manifest, weights.bytes->bytes(), true).ok());
  if (shape.lora_rank > 0) model.AddAdapters(shape.lora_rank, 16, 1);
  PpoSettings settings;
  settings.mutable_advantage()->set_whiten(false);
  Critic critic(model, shape.value_layers, settings.critic().detach(), 1);
  EXPECT_TRUE(critic.Load(weights.manifest, weights.bytes->bytes()).ok());
  critic.parameters()[2].second.detach().fill_(0.1);
  critic.Repack();
  TrainingSettings training;
  auto update = PolicyUpdate::Create(&model, parallel, training, 64, critic.Trained());
  std::vector<Experience> step = RandomStep();
  std::vector<Experience*> first, second;
  std::vector<const TrainingSequence*> sequences[2], scored;
  for (size_t i = 0; i < step.size(); ++i) {
    step[i].old_logprobs = step[i].behaviour_logprobs;
    (i % 2 == 0 || i == 7 ? first : second).push_back(&step[i]);
    sequences[i % 2 == 0 || i == 7 ? 0 : 1].push_back(&step[i].sequence);
  }
  std::vector<Experience*> wanting = second;
  if (!in_pass) wanting.insert(wanting.end(), first.begin(), first.end());
  for (const Experience* e : wanting) scored.push_back(&e->sequence);
  TokenValues values;
  const auto head = [&](const MicroBatch& micro, const TokenStates& states) {
    return critic.Values(micro, states);
  };
  EXPECT_TRUE(ScoreTokens(model, *parallel, scored, 64,
                          {.logprobs = false, .tap_layer = critic.tap_layer()}, nullptr, head,
                          &values)
                  .ok());
  for (size_t i = 0; i < wanting.size(); ++i) wanting[i]->old_values = values[i];
  for (Experience* e : first) e->values_in_pass = in_pass;
  FillAdvantages(settings, 0.05, &step);
  PpoLoss loss(settings, 0.05, &critic);
  Learned out;
  for (int minibatch : {0, 1}) {
    loss.SetBatch(minibatch == 0 ? first : second);
    EXPECT_TRUE(update->Step(sequences[minibatch], 1e-3, &loss).ok());
    if (minibatch == 0) EXPECT_TRUE(loss.ShareValues(*parallel).ok());
  }
  for (const Experience& e : step) {
    EXPECT_FALSE(e.values_in_pass);
    out.values.push_back(e.old_values);
    out.advantages.push_back(e.advantages);
    out.returns.push_back(e.returns);
  }
  for (const auto& [name, tensor] : model.Parameters()) {
    const float* from = tensor.const_data_ptr<float>();
    out.parameters.insert(out.parameters.end(), from, from + tensor.numel());
  }
  EXPECT_TRUE(loss.Metrics(*parallel, &out.metrics).ok());
  return out;
}

TEST_P(PpoLossTest, TheFirstMinibatchsPassGivesTheBitsOfAScoringPass) {
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    for (int world : {1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << world << " ranks, dtype " << static_cast<int>(dtype));
      std::vector<Learned> passes(world), scored(world);
      std::stop_source stop;
      AsRanks(world, &stop, [&](Parallel& parallel) {
        scored[parallel.rank()] = TwoMinibatches(GetParam(), dtype, &parallel, false);
        passes[parallel.rank()] = TwoMinibatches(GetParam(), dtype, &parallel, true);
      });
      for (int rank = 0; rank < world; ++rank) {
        EXPECT_EQ(passes[rank].values, scored[0].values);
        EXPECT_EQ(passes[rank].advantages, scored[0].advantages);
        EXPECT_EQ(passes[rank].returns, scored[0].returns);
        EXPECT_EQ(passes[rank].parameters, scored[0].parameters);
        EXPECT_EQ(passes[rank].metrics, scored[0].metrics);
      }
      EXPECT_NE(scored[0].values[0], scored[0].values[2]);
    }
  }
}

TEST(PpoLossStepTest, AMinibatchComputesWithTheCriticOfTheStepBefore) {
  Weights weights = MakeTinyModel();
  // In bf16, which products read: in fp32 they read the parameters themselves.
  Transformer model(*ModelConfig::Parse(weights.manifest.texts().config_json()), Dtype::kBf16);
  ASSERT_TRUE(model.Load(weights.manifest, weights.bytes->bytes(), true).ok());
  Critic critic(model, /*layers=*/1, /*detach=*/true, /*seed=*/1);
  ASSERT_TRUE(critic.Load(weights.manifest, weights.bytes->bytes()).ok());
  critic.parameters()[2].second.detach().fill_(0.1);
  const std::vector<Experience> step = RandomStep();
  const auto values = [&] {
    const auto head = [&](const MicroBatch& micro, const TokenStates& states) {
      return critic.Values(micro, states);
    };
    TokenValues logprobs, values;
    EXPECT_TRUE(ScoreTokens(model, *MakeSingle(), {&step[0].sequence}, 64,
                            {.tap_layer = critic.tap_layer()}, &logprobs, head, &values)
                    .ok());
    return values[0];
  };
  PpoLoss loss({}, 0, &critic);
  loss.Begin({});
  const std::vector<float> before = values();
  // As an optimizer does it: the parameters change in place.
  for (auto& [name, parameter] : critic.parameters()) {
    if (name.find("critic.") == 0) parameter.detach().mul_(1.5);
  }
  loss.Begin({});
  const std::vector<float> after = values();
  EXPECT_NE(after, before);
  critic.Repack();
  EXPECT_EQ(after, values());
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

TEST(FillAdvantagesTest, WhitenedTheyHaveMeanZeroAndVarianceOneOverTheStep) {
  PpoSettings settings;
  settings.mutable_advantage()->set_estimator(PpoSettings::Advantage::RLOO);
  settings.mutable_advantage()->set_whiten(true);
  std::vector<Experience> step = GroupsWithKl();
  FillAdvantages(settings, 0.1, &step);
  double sum = 0, squares = 0;
  for (const Experience& e : step) {
    for (const float advantage : e.advantages) {
      sum += advantage;
      squares += advantage * advantage;
    }
  }
  EXPECT_NEAR(sum / 15, 0, 1e-6);
  EXPECT_NEAR(squares / 15, 1, 1e-5);
}

TEST(FillAdvantagesTest, WithGaeARewardIsItsStepsThePenaltiesAndTheRestAtTheEnd) {
  PpoSettings settings;
  settings.mutable_advantage()->set_estimator(PpoSettings::Advantage::GAE);
  settings.mutable_advantage()->set_whiten(false);
  settings.mutable_advantage()->set_gamma(0.5);
  settings.mutable_advantage()->set_lam(0.25);
  std::vector<Experience> step(1);
  step[0].reward = 2;
  step[0].step_rewards = {0.5f, 0, 0.25f};
  step[0].behaviour_logprobs = step[0].old_logprobs = {-1, -1, -1};
  step[0].ref_logprobs = {-1, -1.5f, -2};  // K1: 0, 0.5, 1
  step[0].old_values = {0, 1, 0};
  FillAdvantages(settings, 0.1, &step);
  const double rewards[] = {0.5, -0.05, 0.25 - 0.1 + (2 - 0.75)};
  const double last = rewards[2], middle = rewards[1] - 1 + 0.125 * last,
               first = rewards[0] + 0.5 * 1 + 0.125 * middle;
  EXPECT_NEAR(step[0].advantages[0], first, 1e-6);
  EXPECT_NEAR(step[0].advantages[1], middle, 1e-6);
  EXPECT_NEAR(step[0].advantages[2], last, 1e-6);
  EXPECT_NEAR(step[0].returns[1], middle + 1, 1e-6);
}

// Two samples, of two tokens and of one, whose log-ratio is `ratio` and KL to the reference 0.5.
class PpoLossByHandTest : public testing::Test {
 protected:
  PpoLossByHandTest() : samples_(2) {
    for (Experience& e : samples_) {
      const size_t length = &e == &samples_[0] ? 2 : 1;
      e.old_logprobs.assign(length, -1);
      e.behaviour_logprobs.assign(length, -1 - std::log(1.5f));
      e.ref_logprobs.assign(length, -1.5f);
      e.advantages.assign(length, 2);
      e.old_values.assign(length, 1);
      e.returns.assign(length, 3);
    }
    settings_.set_loss_agg_mode(PpoSettings::TOKEN_MEAN);
    settings_.mutable_clip()->set_ratio_c(3);
    settings_.mutable_clip()->set_importance_cap(2);
    settings_.mutable_kl()->set_place(PpoSettings::Kl::LOSS);
    settings_.mutable_kl()->set_estimator(PpoSettings::Kl::K2);
    settings_.mutable_critic()->set_vf_coef(0.25);
    settings_.mutable_critic()->set_value_clip(0.5);
    micro_.loss_tokens = 3;
    states_.logprobs = at::full({3}, -1, at::kFloat);
    states_.hidden = at::zeros({3, 4}, at::kFloat);
  }

  std::vector<Experience> samples_;
  PpoSettings settings_;
  MicroBatch micro_;
  TokenStates states_;
};

TEST_F(PpoLossByHandTest, AddsPolicyKlAndValueByTheirCoefficients) {
  Critic critic(/*hidden_size=*/4, /*detach=*/true, /*seed=*/1,
                Backend::kCpuKernels);  // its values are 0
  PpoLoss loss(settings_, /*kl_coef=*/0.1, &critic);
  double sum = 0;
  for (int minibatch = 0; minibatch < 2; ++minibatch) {
    loss.SetBatch({&samples_[0], &samples_[1]});
    sum += loss.Of({0, 1}, micro_, states_).item<double>();
  }
  // Every token has the weight 1/3. The value moved by 1 from 1 where 0.5 is allowed, but the
  // unclipped error is the larger one.
  const double policy = -2 * 1.5, kl = 0.125, value = 0.5 * 9;
  EXPECT_NEAR(sum / 2, policy + 0.1 * kl + 0.25 * value, 1e-5);
  std::map<std::string, double> metrics;
  ASSERT_TRUE(loss.Metrics(*MakeSingle(), &metrics).ok());
  EXPECT_NEAR(metrics["actor/pg_loss"], policy, 1e-5);
  EXPECT_NEAR(metrics["actor/kl_loss"], kl, 1e-5);
  EXPECT_NEAR(metrics["critic/vf_loss"], value, 1e-5);
  EXPECT_NEAR(metrics["actor/importance_weight"], 1.5, 1e-5);
  for (const char* name : {"actor/pg_clipfrac", "actor/pg_clipfrac_lower", "actor/ratio_clampfrac",
                           "actor/kl_clampfrac", "critic/vf_clipfrac", "actor/ppo_kl"}) {
    EXPECT_EQ(metrics.at(name), 0) << name;
  }
}

TEST_F(PpoLossByHandTest, ProportionsAreOfTokens) {
  Critic critic(4, true, 1, Backend::kCpuKernels);
  settings_.mutable_clip()->set_ratio_low(0.2);
  settings_.mutable_clip()->set_ratio_high(0.2);
  samples_[0].advantages = {2, -2};
  samples_[1].ref_logprobs = {-30};
  samples_[1].old_values = {-1};  // moved up by 1, and its return is above: clipped
  states_.logprobs = at::tensor(std::vector<float>{0, 1, -1});  // log-ratios 1, 2 and 0
  PpoLoss loss(settings_, 0.1, &critic);
  loss.SetBatch({&samples_[0], &samples_[1]});
  loss.Of({0, 1}, micro_, states_);
  std::map<std::string, double> metrics;
  ASSERT_TRUE(loss.Metrics(*MakeSingle(), &metrics).ok());
  EXPECT_NEAR(metrics["actor/pg_clipfrac"], 1 / 3.0, 1e-6);
  EXPECT_NEAR(metrics["actor/pg_clipfrac_lower"], 1 / 3.0, 1e-6);
  EXPECT_NEAR(metrics["actor/kl_clampfrac"], 1 / 3.0, 1e-6);
  EXPECT_NEAR(metrics["critic/vf_clipfrac"], 1 / 3.0, 1e-6);
  EXPECT_NEAR(metrics["actor/ppo_kl"], -1, 1e-6);
}

TEST_F(PpoLossByHandTest, AsksForTheDistributionThatWasSampled) {
  settings_.mutable_sampling()->set_temperature(0.7);
  EXPECT_EQ(PpoQuery(settings_, nullptr).temperature, 0.7);
  EXPECT_EQ(PpoQuery(settings_, nullptr).tap_layer, kNoTap);
  EXPECT_EQ(PpoLoss(settings_, 0, nullptr).query().temperature, 0.7);
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
