#include "common/model/decode/fused_pass.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <c10/core/StreamGuard.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/model/decode/decode_runner.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

#ifdef RECKON_CUDA_ON_CPU
#include "tests/support/cuda_on_cpu/cpu_step_device.h"
#include "tests/support/cuda_on_cpu/grid.h"
#define FusedPassTest CpuFusedPassTest
#else
#include "common/model/kernels/cuda/cuda_step_device.h"
#define FusedPassTest GpuFusedPassTest
#endif

// Passes over prompts by the kernels of kernels/cuda: beside the same composed of LibTorch's
// operations, and with a row tile beside themselves in other batches. On a GPU, and on the CPU by
// the same kernels (tests/support/cuda_on_cpu).
namespace reckon {
namespace {

using Sequence = KvCache::SequenceId;

// Whose tokens come next in a pass, and how many.
struct Part {
  Sequence sequence;
  int64_t count;
  uint64_t key;      // of its tokens
  int64_t from = 0;  // tokens of that key that the sequence has already
};

std::vector<int32_t> TokensOf(uint64_t key, int64_t count) {
  const at::Tensor ids = RandomInts(count, 30, key);
  std::vector<int32_t> out(ids.const_data_ptr<int32_t>(), ids.const_data_ptr<int32_t>() + count);
  for (int32_t& id : out) id += 5;  // no gap
  return out;
}

struct Rows {
  std::vector<int32_t> tokens;
  std::vector<Sequence> sequences;
};

Rows RowsOf(const std::vector<Part>& parts) {
  Rows out;
  for (const Part& part : parts) {
    const std::vector<int32_t> tokens = TokensOf(part.key, part.from + part.count);
    out.tokens.insert(out.tokens.end(), tokens.begin() + part.from, tokens.end());
    out.sequences.insert(out.sequences.end(), part.count, part.sequence);
  }
  return out;
}

class FusedPassTest : public testing::TestWithParam<Dtype> {
 protected:
#ifdef RECKON_CUDA_ON_CPU
  static constexpr Backend kBackend = Backend::kTorchCpu;
  static constexpr int64_t kTile = 8;  // padded rows take long there
  static std::shared_ptr<StepDevice> MakeDevice() { return std::make_shared<CpuStepDevice>(); }
  void SetUp() override {
    SetGridSeed(testing::UnitTest::GetInstance()->random_seed() + 1);
    Prepare();
  }
#else
  static constexpr Backend kBackend = Backend::kTorchCuda;
  static constexpr int64_t kTile = kRowTile;
  static std::shared_ptr<StepDevice> MakeDevice() { return MakeCudaStepDevice(DeviceOf(kBackend)); }
  void SetUp() override {
    if (const auto cuda = ChooseBackend("CUDA"); !cuda.ok()) {
      GTEST_SKIP() << "needs a GPU: " << cuda.status().message();
    }
    Prepare();
  }
#endif
  void TearDown() override { SetRowTile(0); }

  void Prepare() {
    device_ = MakeDevice();
    on_.emplace(device_->stream());
  }
  void Load(const ModelConfig& config) {
    const RandomWeights weights = MakeRandomWeights(config, 1);
    model_ = std::make_shared<Transformer>(config, GetParam(), kBackend);
    ASSERT_TRUE(model_->Load(weights.manifest, weights.bytes, /*trainable=*/false).ok());
    cache_ = std::make_shared<KvCache>(config, GetParam(), 4 << 20, kBackend);
  }
  Sequence Add() { return cache_->Add(256).value(); }
  at::Tensor Run(const std::vector<Part>& parts) {
    const Rows rows = RowsOf(parts);
    return RunFusedPass(*model_, cache_.get(), device_.get(), rows.tokens, rows.sequences);
  }
  // Logits of the last row of a pass.
  at::Tensor LastLogits(const at::Tensor& hidden) {
    return model_->Logits(hidden.narrow(0, hidden.size(0) - 1, 1)).to(at::kCPU);
  }

  const at::NoGradGuard no_grad_;
  std::shared_ptr<StepDevice> device_;
  std::optional<c10::StreamGuard> on_;
  std::shared_ptr<Transformer> model_;
  std::shared_ptr<KvCache> cache_;
};

// Sequences that begin, continue within a page and across pages, and one of a single row. Wide
// heads in bf16 take FlashInfer's kernel, the others our own.
TEST_P(FusedPassTest, PromptsOfAModelOfAnyFamilyAreItsPasses) {
  for (const ModelConfig& config : {SmallConfig(), AllOptions(), WideHeads()}) {
    Load(config);
    const RandomWeights weights = MakeRandomWeights(config, 1);
    Transformer reference(config, GetParam(), Backend::kTorchCpu);
    ASSERT_TRUE(reference.Load(weights.manifest, weights.bytes, /*trainable=*/false).ok());
    KvCache cache(config, GetParam(), 4 << 20, Backend::kTorchCpu);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Add(), cache.Add(256).value());
    const std::vector<std::vector<Part>> passes = {
        {{0, 61, 1}, {1, 40, 2}},
        {{0, 5, 1, 61}, {2, 3, 3}, {1, 1, 2, 40}},
        {{2, 70, 3, 3}, {0, 30, 1, 66}},  // with keys of earlier passes
        {{1, 1, 2, 41}, {2, 1, 3, 73}}};  // as a decode step
    for (size_t pass = 0; pass < passes.size(); ++pass) {
      const Rows rows = RowsOf(passes[pass]);
      std::vector<int32_t> positions;
      for (const Part& part : passes[pass]) {
        for (int64_t i = 0; i < part.count; ++i) {
          positions.push_back(static_cast<int32_t>(part.from + i));
        }
      }
      const auto attention = cache.BeginPass(rows.sequences);
      const at::Tensor wanted =
          reference.Forward(Ints(rows.tokens), Ints(positions), *attention).to(at::kFloat);
      const at::Tensor got = Run(passes[pass]).to(at::kCPU, at::kFloat);
      ASSERT_EQ(got.sizes(), wanted.sizes());
      const double difference = ((got - wanted).abs().max() / wanted.abs().max()).item<double>();
      EXPECT_LT(difference, GetParam() == Dtype::kBf16 ? 0.03 : 1e-5) << pass;
      for (const Sequence id : {0, 1, 2}) EXPECT_EQ(cache_->length(id), cache.length(id));
    }
  }
}

#ifdef RECKON_CUDA_ON_CPU
// A layer of a prompt has five kernels of our own beside its four products, as one of a decode
// step.
TEST_P(FusedPassTest, ALayerOfAPromptHasTheLaunchesOfADecodeStep) {
  for (const ModelConfig& config : {AllOptions(), WideHeads()}) {
    Load(config);
    Run({{Add(), 3, 2}});  // the first pass compares the attentions
    const int64_t before = GridsRun();
    Run({{Add(), 10, 1}});
    // FlashInfer's kernel is none of our own.
    const bool flash_infer = config.head_dim == 64 && GetParam() == Dtype::kBf16;
    // The table of RoPE, the embedding and the final norm.
    EXPECT_EQ(GridsRun() - before, 3 + (flash_infer ? 4 : 5) * config.num_layers);
  }
}
#endif

// The mode without which the bits of a row depend on the rows beside it.
TEST_P(FusedPassTest, WithARowTileAPromptHasItsBitsInAnyPass) {
  SetRowTile(kTile);
  Load(AllOptions());
  const Sequence alone = Add();
  const at::Tensor wanted = Run({{alone, 75, 1}});
  // Among others of any number of rows.
  for (const int64_t before : {1, 14}) {
    const Sequence again = Add(), first = Add(), last = Add();
    const at::Tensor all = Run({{first, before, 2}, {again, 75, 1}, {last, 3, 3}});
    EXPECT_TRUE(all.narrow(0, before, 75).equal(wanted)) << before;
  }
  // In several passes, the later ones over pages of the earlier.
  const Sequence chunked = Add(), other = Add();
  const at::Tensor first = Run({{chunked, 7, 1}, {other, 30, 2}});
  const at::Tensor second = Run({{other, 2, 2, 30}, {chunked, 59, 1, 7}});
  const at::Tensor third = Run({{chunked, 9, 1, 66}});
  EXPECT_TRUE(at::cat({first.narrow(0, 0, 7), second.narrow(0, 2, 59), third}).equal(wanted));
  // From the pages of a sequence that has the same beginning.
  const Sequence fork = cache_->Fork(alone, 70, 256).value();
  EXPECT_TRUE(Run({{fork, 5, 1, 70}}).equal(wanted.narrow(0, 70, 5)));
}

// Each token as a row of decode steps in batches of several sizes, with and without strangers, has
// the log-probability that it has alone, and the keys that it leaves are those of a prompt.
TEST_P(FusedPassTest, WithARowTileDecodedTokensHaveTheBitsOfThePrompt) {
  SetRowTile(kTile);
  Load(AllOptions());
  auto batch = std::make_shared<DecodeBatch>(cache_.get(), model_->config(), 11, device_.get());
  EXPECT_EQ(batch->most_rows(), WithWholeTiles(11));
  DecodeRunner runner(model_, cache_, batch, device_);
  const std::vector<int32_t> tokens = TokensOf(1, 66);
  // Decodes tokens 62 .. 65 of key 1 beside so many strangers, which begin at other places.
  const auto decode = [&](int strangers) {
    const Sequence sequence = Add();
    Run({{sequence, 62, 1}});
    std::vector<Sequence> others;
    for (int i = 0; i < strangers; ++i) {
      others.push_back(Add());
      Run({{others.back(), 3 + i, static_cast<uint64_t>(2 + i)}});
    }
    std::vector<float> logprobs;
    for (size_t t = 62; t < 66; ++t) {
      std::vector<DecodeRow> rows;
      for (const Sequence other : others) rows.push_back({.sequence = other, .token = 7});
      rows.insert(rows.begin() + strangers / 2, {.sequence = sequence, .token = tokens[t]});
      rows[strangers / 2].draw.forced = t + 1 < 66 ? tokens[t + 1] : 9;
      runner.Start(rows);
      logprobs.push_back(runner.Finish().value()[strangers / 2].logprob);
    }
    for (const Sequence other : others) {
      batch->Remove(other);
      cache_->Remove(other);
    }
    batch->Remove(sequence);
    return std::pair(sequence, logprobs);
  };
  const auto [sequence, wanted] = decode(0);
  for (const int strangers : {1, 10}) {
    const auto [same, logprobs] = decode(strangers);
    EXPECT_EQ(logprobs, wanted) << strangers;
    cache_->Remove(same);
  }
  // The next row reads all that was decoded.
  const Sequence prompt = Add();
  const at::Tensor whole = Run({{prompt, 67, 1}}), next = Run({{sequence, 1, 1, 66}});
  EXPECT_TRUE(next.equal(whole.narrow(0, 66, 1)));
  EXPECT_TRUE(LastLogits(next).equal(LastLogits(whole)));
}

INSTANTIATE_TEST_SUITE_P(, FusedPassTest, testing::Values(Dtype::kBf16, Dtype::kFp32),
                         [](const auto& info) {
                           return std::string(info.param == Dtype::kBf16 ? "bf16" : "fp32");
                         });

}  // namespace
}  // namespace reckon
