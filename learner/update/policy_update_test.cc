#include "learner/update/policy_update.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <functional>

#include "c10/util/Exception.h"
#include "common/base/rng.h"
#include "common/model/backend.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "tests/support/rank_threads.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

std::unique_ptr<Transformer> TinyTransformer(Backend backend = Backend::kCpuKernels) {
  Weights weights = MakeTinyModel();
  auto config = ModelConfig::Parse(weights.manifest.texts().config_json());
  EXPECT_TRUE(config.ok()) << config.status();
  auto model = std::make_unique<Transformer>(*config, Dtype::kFp32, backend);
  absl::Status loaded = model->Load(weights.manifest, weights.bytes->bytes(), true);
  EXPECT_TRUE(loaded.ok()) << loaded;
  return model;
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
Trace Train(Parallel* parallel, int64_t micro_batch_tokens, Backend backend = Backend::kCpuKernels,
            bool leaves_device = false) {
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
    if (leaves_device) update->LeaveDevice();
  }
  for (auto& [name, tensor] : model->Parameters()) {
    const at::Tensor here = tensor.detach().cpu();
    const float* values = here.const_data_ptr<float>();
    trace.parameters.insert(trace.parameters.end(), values, values + here.numel());
  }
  return trace;
}

void ExpectClose(const Trace& a, const Trace& b, double most = 1e-5) {
  for (size_t step = 0; step < a.losses.size(); ++step) {
    EXPECT_NEAR(a.losses[step] / b.losses[step], 1, most);
    EXPECT_NEAR(a.norms[step] / b.norms[step], 1, most);
  }
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.gradient.size(); ++i) {
    difference += std::pow(a.gradient[i] - b.gradient[i], 2);
    norm += std::pow(a.gradient[i], 2);
  }
  EXPECT_LT(std::sqrt(difference), most * std::sqrt(norm));
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

TEST(PolicyUpdateTest, AGradientIsOfOneStepAndGoesWithItsOwner) {
  std::unique_ptr<Parallel> single = MakeSingle();
  std::unique_ptr<Transformer> model = TinyTransformer();
  auto update = PolicyUpdate::Create(model.get(), single.get(), Settings(), 256);
  const std::vector<TrainingSequence> sequences = RandomSequences(2, 1);
  const auto norm = [&] {
    auto result = update->Step({&sequences[0], &sequences[1]}, /*learning_rate=*/0);
    EXPECT_TRUE(result.ok()) << result.status();
    return result->grad_norm;
  };
  const double first = norm();
  EXPECT_DOUBLE_EQ(norm(), first);
  update.reset();
  for (auto& [name, parameter] : model->Parameters()) EXPECT_FALSE(parameter.grad().defined());
}

// Samples of one prompt share its rows in a micro-batch, and have rows of their own where each is
// alone in one.
TEST(PolicyUpdateTest, ASharedPromptHasTheGradientsOfItsSamples) {
  std::vector<TrainingSequence> sequences;
  // Prompts that end within a page of the KV cache, at its end, and in the third.
  for (size_t prompt : {20, 64, 150}) {
    for (uint32_t i = 0; i < 4; ++i) {
      std::vector<uint32_t> tokens(prompt), completion(1 + 30 * i);
      for (size_t t = 0; t < prompt; ++t) tokens[t] = (5 * t + prompt) % kTinyVocab;
      for (size_t t = 0; t < completion.size(); ++t) completion[t] = (7 * t + i) % kTinyVocab;
      sequences.push_back(MakeSequence(tokens, completion));
    }
  }
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  const std::unique_ptr<Parallel> single = MakeSingle();
  for (const Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    auto step = [&](int64_t micro_batch_tokens) {
      std::unique_ptr<Transformer> model = TinyTransformer(backend);
      auto update = PolicyUpdate::Create(model.get(), single.get(), Settings(), micro_batch_tokens);
      auto result = update->Step(batch, 1e-3);
      EXPECT_TRUE(result.ok()) << result.status();
      return Trace{{result->loss}, {result->grad_norm}, update->moments().first, {}};
    };
    ExpectClose(step(100000), step(1));
  }
}

TEST(PolicyUpdateTest, IsTheSameWithLibTorchsOperations) {
  std::unique_ptr<Parallel> single = MakeSingle();
  ExpectClose(Train(single.get(), 64), Train(single.get(), 64, Backend::kTorchCpu));
}

TEST(GpuPolicyUpdateTest, IsTheSameAsOnTheCpu) {
  if (auto backend = ChooseBackend("CUDA"); !backend.ok()) {
    GTEST_SKIP() << "needs a GPU: " << backend.status().message();
  }
  std::unique_ptr<Parallel> single = MakeSingle();
  ExpectClose(Train(single.get(), 64), Train(single.get(), 64, Backend::kTorchCuda), 1e-4);
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

TEST(PolicyUpdateTest, HasTheSameBitsAfterItHasLeftTheDevice) {
  std::unique_ptr<Parallel> single = MakeSingle();
  for (const Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    const Trace stayed = Train(single.get(), 64, backend);
    const Trace left = Train(single.get(), 64, backend, /*leaves_device=*/true);
    EXPECT_EQ(left.losses, stayed.losses);
    EXPECT_EQ(left.norms, stayed.norms);
    EXPECT_EQ(left.parameters, stayed.parameters);
  }
}

TEST(PolicyUpdateTest, IsTheSameForOneRankAndTwo) {
  std::unique_ptr<Parallel> single = MakeSingle();
  Trace alone = Train(single.get(), 128), ranks[2];
  std::stop_source stop;
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
  EXPECT_NEAR(GlobalNorm(at::tensor(update->moments().first)), 0.01 * 0.1, 1e-6);
}

// Two ranks, of which this one's all-reduce fails when asked to.
class FailingParallel : public Parallel {
 public:
  class Ended : public PendingCollective {
   public:
    explicit Ended(absl::Status status) : status_(std::move(status)) {}
    absl::Status Wait() override { return status_; }

   private:
    const absl::Status status_;
  };
  int rank() const override { return 0; }
  int world() const override { return 2; }
  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor&) override {
    return std::make_unique<Ended>(status);
  }
  absl::Status Broadcast(absl::Span<char>) override { return status; }
  std::unique_ptr<PendingCollective> AllGather(const at::Tensor&, const at::Tensor&) override {
    return nullptr;
  }
  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor&,
                                                      const at::Tensor&) override {
    return nullptr;
  }
  absl::Status status;
};

// The cross-entropy of the batch, or what goes wrong while it is computed.
class FaultyLoss : public SequenceLoss {
 public:
  enum Fault { kNone, kThrow, kNan };
  at::Tensor Of(const std::vector<size_t>&, const MicroBatch&, const TokenStates& states) override {
    TORCH_CHECK(fault != kThrow || ++micro_batches_ < 2, "the second micro-batch fails");
    return states.logprobs.sum() * (fault == kNan ? NAN : -0.01);
  }
  Fault fault = kNone;

 private:
  int micro_batches_ = 0;
};

TEST(PolicyUpdateTest, AStepThatFailsChangesNeitherParametersNorMoments) {
  for (Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    std::unique_ptr<Transformer> model = TinyTransformer(backend);
    FailingParallel parallel;
    auto update = PolicyUpdate::Create(model.get(), &parallel, Settings(), 64);
    const std::vector<TrainingSequence> sequences = RandomSequences(7, 1);
    std::vector<const TrainingSequence*> batch;
    for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
    auto state = [&] {
      std::vector<float> all = update->moments().first;
      const std::vector<float>& second = update->moments().second;
      all.insert(all.end(), second.begin(), second.end());
      for (auto& [name, tensor] : model->Parameters()) {
        const float* values = tensor.const_data_ptr<float>();
        all.insert(all.end(), values, values + tensor.numel());
      }
      all.push_back(static_cast<float>(update->moments().steps));
      return all;
    };
    FaultyLoss loss;
    auto step = [&] { return update->Step(batch, 1e-3, &loss).status(); };
    ASSERT_TRUE(step().ok());
    const std::vector<float> before = state();

    loss.fault = FaultyLoss::kThrow;
    EXPECT_EQ(step(), absl::InternalError("training step: the second micro-batch fails"));
    loss.fault = FaultyLoss::kNan;
    EXPECT_EQ(step().code(), absl::StatusCode::kInternal);
    loss.fault = FaultyLoss::kNone;
    parallel.status = absl::UnavailableError("a rank is gone");
    EXPECT_EQ(step(), parallel.status);
    parallel.status = absl::CancelledError("stopped");
    EXPECT_EQ(step(), parallel.status);
    EXPECT_EQ(state(), before);

    parallel.status = absl::OkStatus();
    ASSERT_TRUE(step().ok());
    EXPECT_NE(state(), before);
  }
}

TEST(PolicyUpdateTest, NothingOfAStepThatFailedIsInTheNext) {
  std::unique_ptr<Parallel> single = MakeSingle();
  std::unique_ptr<Transformer> model = TinyTransformer();
  auto update = PolicyUpdate::Create(model.get(), single.get(), Settings(), 256);
  const std::vector<TrainingSequence> sequences = RandomSequences(2, 1);
  FaultyLoss loss;
  const auto step = [&] { return update->Step({&sequences[0], &sequences[1]}, 0, &loss); };
  const auto first = step();
  ASSERT_TRUE(first.ok()) << first.status();
  loss.fault = FaultyLoss::kNan;
  EXPECT_FALSE(step().ok());
  loss.fault = FaultyLoss::kNone;
  const auto second = step();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_DOUBLE_EQ(second->grad_norm, first->grad_norm);
}

TEST(PolicyUpdateTest, NoGradientIsLeftOnTheDeviceBetweenTurns) {
  std::unique_ptr<Parallel> single = MakeSingle();
  std::unique_ptr<Transformer> model = TinyTransformer();
  auto update = PolicyUpdate::Create(model.get(), single.get(), Settings(), 256);
  const std::vector<TrainingSequence> sequences = RandomSequences(2, 1);
  FaultyLoss loss;
  const auto norm = [&] {
    auto result = update->Step({&sequences[0], &sequences[1]}, /*learning_rate=*/0, &loss);
    return result.ok() ? result->grad_norm : -1;
  };
  const double first = norm();
  loss.fault = FaultyLoss::kNan;
  EXPECT_EQ(norm(), -1);
  update->LeaveDevice();
  for (auto& [name, parameter] : model->Parameters()) EXPECT_FALSE(parameter.grad().defined());
  EXPECT_EQ(update->moments().steps, 1) << "a checkpoint can be saved";
  loss.fault = FaultyLoss::kNone;
  EXPECT_DOUBLE_EQ(norm(), first) << "nothing of the step that failed is in the next";
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
