#include "common/model/decode/decode_runner.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/sampler.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

#ifdef RECKON_CUDA_ON_CPU
#include "tests/support/cuda_on_cpu/cpu_step_device.h"
#include "tests/support/cuda_on_cpu/grid.h"
#define DecodeRunnerTest CpuDecodeRunnerTest
#else
#include "common/model/kernels/cuda/cuda_step_device.h"
#define DecodeRunnerTest GpuDecodeRunnerTest
#endif

// Compares steps of a DecodeRunner with passes of the transformer over LibTorch's operations on the
// CPU: on a GPU, and on the CPU by the same kernels (tests/support/cuda_on_cpu).
namespace reckon {
namespace {

TokenDraw WithUniform(const DecodeRow& row) {
  TokenDraw draw = row.draw;
  draw.uniform = CounterRng(row.stream).Uniform(row.place);
  return draw;
}

// A model with a cache.
struct Side {
  std::shared_ptr<Transformer> model;
  std::shared_ptr<KvCache> cache;
  std::vector<KvCache::SequenceId> sequences;

  Side(const ModelConfig& config, Dtype dtype, Backend backend, const RandomWeights& weights)
      : model(std::make_shared<Transformer>(config, dtype, backend)),
        cache(std::make_shared<KvCache>(config, dtype, 4 << 20, backend)) {
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, /*trainable=*/false).ok());
  }

  // Adds a sequence that holds so many tokens.
  void Prefill(int64_t tokens, uint64_t key) {
    sequences.push_back(cache->Add(tokens + 64).value());
    if (tokens == 0) return;
    auto pass = cache->BeginPass(std::vector<KvCache::SequenceId>(tokens, sequences.back()));
    model->Forward(RandomInts(tokens, 40, key), Ints(Positions(0, tokens)), *pass);
  }

  absl::StatusOr<std::vector<DrawnToken>> Pass(const std::vector<DecodeRow>& rows) {
    std::vector<int32_t> tokens, positions;
    std::vector<KvCache::SequenceId> of;
    std::vector<TokenDraw> draws;
    for (const DecodeRow& row : rows) {
      tokens.push_back(row.token);
      positions.push_back(static_cast<int32_t>(cache->length(row.sequence)));
      of.push_back(row.sequence);
      draws.push_back(WithUniform(row));
    }
    auto pass = cache->BeginPass(of);
    return Sample(*model, model->Forward(Ints(tokens), Ints(positions), *pass), draws);
  }
};

class DecodeRunnerTest : public testing::TestWithParam<Dtype> {
 protected:
#ifdef RECKON_CUDA_ON_CPU
  static constexpr Backend kBackend = Backend::kTorchCpu;
  static std::shared_ptr<CpuStepDevice> MakeDevice() { return std::make_shared<CpuStepDevice>(); }
  void SetUp() override { SetGridSeed(testing::UnitTest::GetInstance()->random_seed() + 1); }
#else
  static constexpr Backend kBackend = Backend::kTorchCuda;
  static std::shared_ptr<StepDevice> MakeDevice() { return MakeCudaStepDevice(DeviceOf(kBackend)); }
  void SetUp() override {
    if (const auto cuda = ChooseBackend("CUDA"); !cuda.ok()) {
      GTEST_SKIP() << "needs a GPU: " << cuda.status().message();
    }
  }
#endif
  const at::NoGradGuard no_grad_;
};

// Rows of three sequences, of which one begins, one crosses a page and one joins late, run with
// every token forced: then a difference cannot change what follows it.
TEST_P(DecodeRunnerTest, StepsOfAModelOfAnyFamilyAreItsPasses) {
  for (const ModelConfig& config : {SmallConfig(), AllOptions(), WideHeads()}) {
    const RandomWeights weights = MakeRandomWeights(config, 1);
    Side wanted(config, GetParam(), Backend::kTorchCpu, weights);
    const auto device = MakeDevice();
    const c10::StreamGuard on(device->stream());
    Side side(config, GetParam(), kBackend, weights);
    auto batch = std::make_shared<DecodeBatch>(side.cache.get(), config, 5, device.get());
    DecodeRunner runner(side.model, side.cache, batch, device);
    for (const auto& [tokens, key] :
         std::vector<std::pair<int64_t, uint64_t>>{{62, 1}, {0, 2}, {5, 3}}) {
      wanted.Prefill(tokens, key);
      side.Prefill(tokens, key);
    }
    std::vector<std::vector<DrawnToken>> expected;
    std::vector<std::vector<DrawnToken>> got;
    const auto next = [](int step, int sequence) { return 4 + (step * 5 + sequence * 11) % 30; };
    for (int step = 0; step < 5; ++step) {
      std::vector<DecodeRow> rows;
      for (int i = 0; i < (step < 2 ? 2 : 3); ++i) {
        DecodeRow row = {.sequence = wanted.sequences[i], .token = next(step, i)};
        row.draw.forced = next(step + 1, i);
        rows.push_back(row);
      }
      expected.push_back(wanted.Pass(rows).value());
      for (size_t i = 0; i < rows.size(); ++i) rows[i].sequence = side.sequences[i];
      runner.Start(rows);
      if (runner.started() > DecodeRunner::kAhead) got.push_back(runner.Finish().value());
    }
    while (runner.started() > 0) got.push_back(runner.Finish().value());
    ASSERT_EQ(got.size(), expected.size());
    const double allowed = GetParam() == Dtype::kBf16 ? 0.05 : 1e-4;
    for (size_t step = 0; step < got.size(); ++step) {
      ASSERT_EQ(got[step].size(), expected[step].size());
      for (size_t i = 0; i < got[step].size(); ++i) {
        EXPECT_EQ(got[step][i].token, expected[step][i].token) << step << " " << i;
        EXPECT_NEAR(got[step][i].logprob, expected[step][i].logprob, allowed) << step << " " << i;
      }
    }
  }
}

// Sequences that are drawn freely, join and leave, each in a random stream of its own: what each
// draws is what it draws alone, and in between nothing is sent.
TEST_P(DecodeRunnerTest, WhatASequenceDrawsDoesNotDependOnTheBatch) {
  const ModelConfig config = SmallConfig();
  const RandomWeights weights = MakeRandomWeights(config, 1);
  const auto device = MakeDevice();
  const c10::StreamGuard on(device->stream());
  Side side(config, GetParam(), kBackend, weights);
  auto batch = std::make_shared<DecodeBatch>(side.cache.get(), config, 6, device.get());
  DecodeRunner runner(side.model, side.cache, batch, device);
  const auto row_of = [&](size_t i, int step) {
    const int32_t first = static_cast<int32_t>(i % 3) + 1;
    return DecodeRow{.sequence = side.sequences[i],
                     .token = step == 0 ? first : DecodeRow::kDrawn,
                     .draw = {.temperature = 0.9, .top_k = 20, .top_p = 0.9},
                     .stream = 40 + i % 3,
                     .place = static_cast<uint64_t>(step)};
  };
  // Sequences 0 to 2 together, from step 0, 1 and 0 on; then 3 to 5, the same again, each alone.
  std::vector<std::vector<uint32_t>> drawn(6);
  for (size_t i = 0; i < 6; ++i) side.Prefill(3 + 2 * (i % 3), i % 3);
  const auto finish = [&](const std::vector<size_t>& of) {
    const auto tokens = runner.Finish().value();
    for (size_t i = 0; i < of.size(); ++i) drawn[of[i]].push_back(tokens[i].token);
  };
  std::vector<size_t> before;
  for (int step = 0; step < 6; ++step) {
    std::vector<size_t> of;
    for (size_t i : {0, 1, 2}) {
      if ((i != 1 || step >= 1) && (i != 2 || step < 4)) of.push_back(i);
    }
    std::vector<DecodeRow> rows;
    for (size_t i : of) rows.push_back(row_of(i, i == 1 ? step - 1 : step));
    const int64_t sent = batch->sent();
    runner.Start(rows);
    EXPECT_EQ(batch->sent() - sent, step == 0 ? 2 : step == 1 ? 1 : 0) << step;
    if (step > 0) finish(before);
    if (step == 4) {  // while steps that have it are under way
      batch->Remove(side.sequences[2]);
      side.cache->Remove(side.sequences[2]);
    }
    before = of;
  }
  finish(before);
  EXPECT_EQ(batch->size(), 2);
  for (size_t i : {3, 4, 5}) {
    for (int step = 0; step < 4; ++step) {
      runner.Start({row_of(i, step)});
      finish({i});
    }
    // A GPU's products may sum in another order for another number of rows; the CPU's too, in fp32
    // to the last bits, which no draw here is near. fused_pass_test.cc has the mode without that.
    for (int step = 0; step < 4; ++step) EXPECT_EQ(drawn[i][step], drawn[i - 3][step]) << i;
  }
}

TEST_P(DecodeRunnerTest, NumbersThatAreNotFiniteAreAnErrorOfTheirStep) {
  const ModelConfig config = SmallConfig();
  RandomWeights weights = MakeRandomWeights(config, 1);
  // A NaN in the embedding of token 7, which is in the head as well.
  const float nan = std::nanf("");
  std::memcpy(weights.bytes.data() + 7 * config.hidden_size * sizeof(float), &nan, sizeof(nan));
  const auto device = MakeDevice();
  const c10::StreamGuard on(device->stream());
  Side side(config, GetParam(), kBackend, weights);
  auto batch = std::make_shared<DecodeBatch>(side.cache.get(), config, 2, device.get());
  DecodeRunner runner(side.model, side.cache, batch, device);
  side.Prefill(0, 1);
  runner.Start({{.sequence = side.sequences[0], .token = 1}});
  EXPECT_EQ(runner.Finish().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(runner.started(), 0);
}

TEST(BucketTest, HoldTheRowsAndLittleMore) {
  int64_t before = 0, buckets = 0;
  for (int64_t rows = 1; rows <= 2048; ++rows) {
    const int64_t bucket = DecodeRunner::BucketFor(rows);
    EXPECT_GE(bucket, rows);
    EXPECT_LE(bucket, rows < 16 ? 2 * rows : rows + rows / 4);
    EXPECT_EQ(DecodeRunner::BucketFor(bucket), bucket);
    if (bucket != before) ++buckets;
    before = bucket;
  }
  EXPECT_LE(buckets, 40);
}

INSTANTIATE_TEST_SUITE_P(, DecodeRunnerTest, testing::Values(Dtype::kBf16, Dtype::kFp32),
                         [](const auto& info) {
                           return std::string(info.param == Dtype::kBf16 ? "bf16" : "fp32");
                         });

}  // namespace
}  // namespace reckon
