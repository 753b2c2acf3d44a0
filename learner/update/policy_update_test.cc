#include "learner/update/policy_update.h"

#include <cmath>
#include <functional>

#include "common/base/rng.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "learner/rank_threads.h"

namespace reckon {
namespace {

std::unique_ptr<Transformer> TinyTransformer(Backend backend = Backend::kOwn) {
  Weights weights = MakeTinyModel();
  auto config = ModelConfig::Parse(weights.manifest.config_json());
  EXPECT_TRUE(config.ok()) << config.status();
  auto model = Transformer::Create(*config, Compute::kFp32, backend);
  EXPECT_TRUE(model.ok()) << model.status();
  absl::Status loaded = (*model)->Load(weights.manifest, weights.bytes->bytes(), true);
  EXPECT_TRUE(loaded.ok()) << loaded;
  return *std::move(model);
}

std::vector<TrainingSequence> RandomSequences(int count, uint64_t seed) {
  CounterRng rng(seed);
  uint64_t draw = 0;
  std::vector<TrainingSequence> sequences;
  for (int i = 0; i < count; ++i) {
    std::vector<uint32_t> prompt(1 + rng.Below(20, draw++)), completion(1 + rng.Below(30, draw++));
    for (uint32_t& token : prompt) token = rng.Below(kTinyVocab, draw++);
    for (uint32_t& token : completion) token = rng.Below(kTinyVocab, draw++);
    sequences.push_back(MakeSequence(prompt, completion));
  }
  return sequences;
}

TrainingSettings Settings() {
  TrainingSettings training;
  training.set_learning_rate(1e-3);
  training.set_max_grad_norm(0);
  return training;
}

struct Trace {
  std::vector<double> losses, norms;
  std::vector<float> gradient;  // of the first step
  std::vector<float> parameters;
};

// A few steps on the same batches.
Trace Train(Parallel* parallel, int64_t micro_batch_tokens, Backend backend = Backend::kOwn) {
  std::unique_ptr<Transformer> model = TinyTransformer(backend);
  auto update = PolicyUpdate::Create(model.get(), parallel, Settings(), micro_batch_tokens);
  Trace trace;
  for (int step = 0; step < 3; ++step) {
    std::vector<TrainingSequence> sequences = RandomSequences(7, step);
    std::vector<const TrainingSequence*> batch;
    for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
    auto result = update->Step(batch, 1e-3);
    EXPECT_TRUE(result.ok()) << result.status();
    trace.losses.push_back(result->loss);
    trace.norms.push_back(result->grad_norm);
    if (step == 0) trace.gradient = update->moments().first;
  }
  for (auto& [name, tensor] : model->Parameters()) {
    const float* values = tensor.const_data_ptr<float>();
    trace.parameters.insert(trace.parameters.end(), values, values + tensor.numel());
  }
  return trace;
}

void ExpectClose(const Trace& a, const Trace& b) {
  for (int step = 0; step < 3; ++step) {
    EXPECT_NEAR(a.losses[step] / b.losses[step], 1, 1e-5);
    EXPECT_NEAR(a.norms[step] / b.norms[step], 1, 1e-5);
  }
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.gradient.size(); ++i) {
    difference += std::pow(a.gradient[i] - b.gradient[i], 2);
    norm += std::pow(a.gradient[i], 2);
  }
  EXPECT_LT(std::sqrt(difference), 1e-5 * std::sqrt(norm));
}

TEST(PolicyUpdateTest, BeginsNearTheUniformLossAndLowersIt) {
  std::unique_ptr<Parallel> single = MakeSingle();
  std::unique_ptr<Transformer> model = TinyTransformer();
  auto update = PolicyUpdate::Create(model.get(), single.get(), Settings(), 256);
  std::vector<TrainingSequence> sequences = RandomSequences(4, 1);
  std::vector<const TrainingSequence*> batch;
  int64_t tokens = 0, loss_tokens = 0;
  for (const TrainingSequence& sequence : sequences) {
    batch.push_back(&sequence);
    tokens += sequence.tokens.size();
    loss_tokens += LossTokens(sequence);
  }
  double first = 0, last = 0;
  for (int step = 0; step < 40; ++step) {
    auto result = update->Step(batch, 3e-3);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->tokens, tokens);
    EXPECT_EQ(result->loss_tokens, loss_tokens);
    (step == 0 ? first : last) = result->loss;
  }
  EXPECT_NEAR(first, std::log(kTinyVocab), 1.0);
  EXPECT_LT(last, 0.5 * first);
}

TEST(PolicyUpdateTest, IsTheSameByLibTorchsOperations) {
  std::unique_ptr<Parallel> single = MakeSingle();
  ExpectClose(Train(single.get(), 64), Train(single.get(), 64, Backend::kAtenCpu));
}

TEST(PolicyUpdateTest, IsTheSameForAnyMicroBatchSize) {
  std::unique_ptr<Parallel> single = MakeSingle();
  Trace whole = Train(single.get(), 100000);
  ExpectClose(whole, Train(single.get(), 64));
  ExpectClose(whole, Train(single.get(), 1));
}

TEST(PolicyUpdateTest, IsBitIdenticalWhenRepeated) {
  std::unique_ptr<Parallel> single = MakeSingle();
  EXPECT_EQ(Train(single.get(), 64).parameters, Train(single.get(), 64).parameters);
}

TEST(PolicyUpdateTest, IsTheSameForOneRankAndTwo) {
  std::unique_ptr<Parallel> single = MakeSingle();
  Trace alone = Train(single.get(), 128), ranks[2];
  StopToken stop;
  AsRanks(2, &stop, [&](Parallel& parallel) { ranks[parallel.rank()] = Train(&parallel, 128); });
  ExpectClose(alone, ranks[0]);
  EXPECT_EQ(ranks[0].parameters, ranks[1].parameters);
}

TEST(PolicyUpdateTest, ClipsTheGlobalNorm) {
  std::unique_ptr<Parallel> single = MakeSingle();
  std::unique_ptr<Transformer> model = TinyTransformer();
  TrainingSettings training = Settings();
  training.set_max_grad_norm(0.01);
  auto update = PolicyUpdate::Create(model.get(), single.get(), training, 256);
  std::vector<TrainingSequence> sequences = RandomSequences(2, 3);
  auto result = update->Step({&sequences[0], &sequences[1]}, 1e-3);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->grad_norm, 0.01);
  EXPECT_NEAR(Norm(update->moments().first), 0.01 * 0.1, 1e-6);
}

TEST(PolicyUpdateTest, RefusesABatchThatTeachesNothing) {
  std::unique_ptr<Parallel> single = MakeSingle();
  std::unique_ptr<Transformer> model = TinyTransformer();
  auto update = PolicyUpdate::Create(model.get(), single.get(), Settings(), 256);
  TrainingSequence prompt_only = MakeSequence({1, 2, 3}, {});
  EXPECT_EQ(update->Step({&prompt_only}, 1e-3).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace reckon
