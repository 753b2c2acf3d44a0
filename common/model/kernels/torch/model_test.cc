#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "common/base/rng.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kv_cache.h"
#include "common/model/sampler.h"
#include "common/model/shared_bytes.h"
#include "common/model/transformer.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

// Compares a whole model on LibTorch's operations with the same model on the CPU kernels.
namespace reckon {
namespace {

struct ModelCase {
  Backend backend;
  ModelConfig config;
};
void PrintTo(const ModelCase& c, std::ostream* out) {
  *out << (c.config.qk_norm ? "all that a family may have" : "plain");
}

// With all that a family may have.
ModelConfig Full() {
  ModelConfig config = SmallConfig();
  config.qkv_bias = config.output_bias = config.mlp_bias = config.qk_norm = true;
  config.tie_word_embeddings = false;
  config.unused_rows = 7;
  config.gaps = {3, 40};
  return config;
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wanted = b.detach().to(at::kCPU);
  return ((a.detach().to(at::kCPU) - wanted).abs().max() / wanted.abs().max()).item<double>();
}

class DeviceModelTest : public testing::TestWithParam<ModelCase> {
 protected:
  static at::Tensor Ids(int64_t count, uint64_t seed) {
    const ModelConfig& config = GetParam().config;
    at::Tensor ids = RandomInts(count, config.num_tokens(), seed);
    for (int64_t i = 0; i < count; ++i) {
      int32_t& id = ids.mutable_data_ptr<int32_t>()[i];
      if (!config.HasToken(id)) ++id;
    }
    return ids;
  }
  void SetUp() override {
    if (GetParam().backend == Backend::kTorchCuda && !ChooseBackend("CUDA").ok()) {
      GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
    }
  }

  static std::unique_ptr<Transformer> Make(Backend backend, bool trainable,
                                           Dtype dtype = Dtype::kFp32) {
    const RandomWeights weights = MakeRandomWeights(GetParam().config, 1);
    auto model = std::make_unique<Transformer>(GetParam().config, dtype, backend);
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, trainable).ok());
    return model;
  }
};

TEST_P(DeviceModelTest, LogProbabilitiesAndGradientsAreThoseOfTheOwnKernels) {
  auto own = Make(Backend::kCpuKernels, true), other = Make(GetParam().backend, true);
  const at::Tensor tokens = Ids(90, 2), targets = Ids(90, 3);
  auto run = [&](Transformer& model) {
    auto attention = PackedAttention(model.config(), {0, 90}, model.backend());
    const at::Tensor hidden = model.Forward(tokens, Ints(Positions(0, 90)), *attention);
    const at::Tensor logprob = model.LogProb(hidden, targets, 0.9);
    logprob.mean().backward();
    return logprob;
  };
  const at::Tensor wanted = run(*own);
  EXPECT_LT(Difference(run(*other), wanted), 1e-5);
  auto a = other->Parameters(), b = own->Parameters();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_LT(Difference(a[i].second.grad(), b[i].second.grad()), 1e-4) << a[i].first;
  }
  // Repack brings a changed parameter into the forward pass.
  at::NoGradGuard no_grad;
  for (Transformer* model : {own.get(), other.get()}) {
    for (auto& [name, parameter] : model->Parameters()) parameter.mul_(0.9);
    model->Repack();
  }
  c10::AutoGradMode with_gradients(true);
  const at::Tensor changed = run(*own);
  EXPECT_GT(Difference(changed, wanted), 1e-3);
  EXPECT_LT(Difference(run(*other), changed), 1e-5);
}

TEST_P(DeviceModelTest, DrawsTheSameTokensThroughTheKvCache) {
  at::NoGradGuard no_grad;
  const ModelConfig& config = GetParam().config;
  auto draw = [&](Backend backend) {
    auto model = Make(backend, false);
    auto cache = std::make_unique<KvCache>(config, Dtype::kFp32, 1 << 21, backend);
    auto parent = cache->Add(2 * kPageTokens).value();
    auto prefill = cache->BeginPass(std::vector<KvCache::SequenceId>(70, parent));
    at::Tensor hidden = model->Forward(Ids(70, 4), Ints(Positions(0, 70)), *prefill);
    auto child = cache->Fork(parent, 70, 2 * kPageTokens).value();
    cache->Remove(parent);
    hidden = hidden.narrow(0, 69, 1);
    std::vector<DrawnToken> out;
    for (int64_t t = 70; t < 100; ++t) {
      const TokenDraw row = {.temperature = 0.8, .uniform = static_cast<double>(t - 70) / 30};
      out.push_back(Sample(*model, hidden, {row})->at(0));
      at::Tensor token = Ints(Positions(out.back().token, 1));
      auto pass = cache->BeginPass({child});
      hidden = model->Forward(token, Ints(Positions(t, 1)), *pass);
    }
    return out;
  };
  const auto wanted = draw(Backend::kCpuKernels), got = draw(GetParam().backend);
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(got[i].token, wanted[i].token) << "token " << i;
    EXPECT_NEAR(got[i].logprob, wanted[i].logprob, 1e-4) << "token " << i;
  }
}

TEST_P(DeviceModelTest, Bf16AgreesToItsPrecision) {
  auto own = Make(Backend::kCpuKernels, true, Dtype::kBf16);
  auto other = Make(GetParam().backend, true, Dtype::kBf16);
  auto gradients = [&](Transformer& model) {
    auto attention = PackedAttention(model.config(), {0, 90}, model.backend());
    model.LogProb(model.Forward(Ids(90, 2), Ints(Positions(0, 90)), *attention), Ids(90, 3), 1)
        .mean()
        .backward();
    return model.Parameters();
  };
  auto a = gradients(*own), b = gradients(*other);
  for (size_t i = 0; i < a.size(); ++i) {
    at::Tensor x = a[i].second.grad().flatten();
    at::Tensor y = b[i].second.grad().flatten().to(at::kCPU);
    // Gradients of norms are sums in which much cancels, so bf16 leaves them less precise.
    const double least = absl::StrContains(a[i].first, "_norm") ? 0.95 : 0.99;
    EXPECT_GT(x.dot(y).item<double>() / (x.norm() * y.norm()).item<double>(), least) << a[i].first;
  }
}

TEST_P(DeviceModelTest, NaNOfAnEarlierSequenceDoesNotReachALaterOne) {
  at::NoGradGuard no_grad;
  auto model = Make(GetParam().backend, false);
  auto cache =
      std::make_unique<KvCache>(GetParam().config, Dtype::kFp32, 1 << 21, GetParam().backend);
  auto attend = [&](int64_t n, double factor) {
    auto id = cache->Add(kPageTokens).value();
    auto pass = cache->BeginPass(std::vector<KvCache::SequenceId>(n, id));
    const ModelConfig& c = GetParam().config;
    at::Tensor qkv = at::empty({n, (c.num_heads + 2 * c.num_kv_heads) * c.head_dim}, at::kFloat);
    at::Tensor out = pass->Attend(0, qkv.fill_(factor).to(DeviceOf(GetParam().backend)));
    cache->Remove(id);
    return out.to(at::kCPU);
  };
  attend(kPageTokens, std::nan(""));
  EXPECT_TRUE(attend(1, 2.0).eq(2.0).all().item<bool>());
}

// The learner's model, and an actor's that reads its memory.
TEST_P(DeviceModelTest, AReaderOfSharedWeightsHasThemWithoutACopy) {
  const at::Tensor tokens = Ids(20, 5), positions = Ints(Positions(0, 20));
  const auto logits = [&](Transformer& model) {
    at::NoGradGuard no_grad;
    auto attention = PackedAttention(model.config(), {0, 20}, model.backend());
    return model.Logits(model.Forward(tokens, positions, *attention));
  };
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    const std::unique_ptr<Transformer> learner = Make(GetParam().backend, true, dtype);
    const at::Tensor before = logits(*learner);
    auto memory = MakeSharedBytes(GetParam().backend, learner->packed_size());
    ASSERT_TRUE(memory.ok()) << memory.status();
    learner->PackInto([bytes = memory->bytes](int64_t) { return bytes; });
    EXPECT_TRUE(logits(*learner).equal(before));

    at::Tensor bytes = memory->bytes;
    // A process cannot open its own handle of CUDA IPC.
    if (GetParam().backend == Backend::kTorchCpu) {
      auto opened = OpenSharedBytes(GetParam().backend, memory->handle, bytes.numel());
      ASSERT_TRUE(opened.ok()) << opened.status();
      bytes = *opened;
      EXPECT_NE(bytes.const_data_ptr(), memory->bytes.const_data_ptr());
    }
    Transformer actor(GetParam().config, dtype, GetParam().backend);
    ASSERT_TRUE(actor.Adopt(bytes).ok());
    EXPECT_TRUE(logits(actor).equal(before));

    // What an optimizer step changes is the actor's at once.
    const int64_t generation = learner->weights().generation();
    for (auto& [name, tensor] : learner->Parameters()) {
      at::NoGradGuard no_grad;
      tensor.mul_(0.75);
    }
    EXPECT_TRUE(logits(actor).equal(before));
    learner->Repack();
    EXPECT_GT(learner->weights().generation(), generation);
    const at::Tensor after = logits(*learner);
    EXPECT_FALSE(after.equal(before));
    EXPECT_TRUE(logits(actor).equal(after));
    // And what is loaded in place of the trained weights.
    const RandomWeights weights = MakeRandomWeights(GetParam().config, 1);
    ASSERT_TRUE(learner->Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
    EXPECT_TRUE(logits(actor).equal(before));

    EXPECT_EQ(actor.Adopt(bytes.narrow(0, 0, bytes.numel() - 256)).code(),
              absl::StatusCode::kInvalidArgument);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceModelTest,
                         testing::Values(ModelCase{Backend::kTorchCpu, SmallConfig()},
                                         ModelCase{Backend::kTorchCpu, Full()}));
INSTANTIATE_TEST_SUITE_P(Gpu, DeviceModelTest,
                         testing::Values(ModelCase{Backend::kTorchCuda, SmallConfig()},
                                         ModelCase{Backend::kTorchCuda, Full()}));

#ifndef RECKON_CUDA
TEST(BackendTest, ABuildForCpusRefusesCudaAndNamesTheField) {
  EXPECT_EQ(ChooseBackend("AUTO").value(), Backend::kCpuKernels);
  EXPECT_EQ(ChooseBackend("CPU").value(), Backend::kCpuKernels);
  EXPECT_EQ(ChooseBackend("CUDA").status().message(),
            "model.device: CUDA is not available: this build is for CPUs (docs/cuda.md); set it to "
            "CPU or AUTO");
  EXPECT_EQ(ChooseBackend("cuda:1").status().message(),
            "model.device: 'cuda:1' must be AUTO, CPU or CUDA");
}
#endif

}  // namespace
}  // namespace reckon
