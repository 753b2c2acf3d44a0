#include "common/model/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>

#include <cmath>
#include <memory>

#include "common/base/rng.h"
#include "common/model/kv_cache.h"
#include "common/model/sampler.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

namespace reckon {
namespace {

std::vector<int32_t> RandomTokens(int64_t n, int64_t vocab, uint64_t seed) {
  CounterRng rng(seed);
  std::vector<int32_t> out(n);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<int32_t>(rng.Below(vocab, i));
  return out;
}

ModelConfig Llama3() {
  ModelConfig config = SmallConfig();
  config.tie_word_embeddings = false;
  config.rope = {
      .theta = 5e5, .scaling = RopeSettings::kLlama3, .factor = 8, .original_max_positions = 64};
  return config;
}

ModelConfig Qwen2() {
  ModelConfig config = SmallConfig();
  config.qkv_bias = true;
  return config;
}

// Heads wider than the hidden state, as Qwen3 has them.
ModelConfig Qwen3() {
  ModelConfig config = SmallConfig();
  config.qk_norm = true;
  config.head_dim = 32;
  return config;
}

// With a head of its own, so that a gradient of its unused rows would show.
ModelConfig Padded() {
  ModelConfig config = SmallConfig();
  config.tie_word_embeddings = false;
  config.unused_rows = 7;
  return config;
}

// With a bias wherever a family has one, tensors as Phi-3 stores them, and RoPE's magnitude.
ModelConfig BiasedAndFused() {
  ModelConfig config = SmallConfig();
  config.qkv_bias = config.output_bias = config.mlp_bias = config.fused = true;
  config.rope.scaling = RopeSettings::kYarn;
  config.rope.factor = 4;
  config.rope.original_max_positions = 32;
  config.rope.magnitude = 1.2;
  return config;
}

// Padded, with ids that no token has: in the first block of columns, and next to each other.
ModelConfig WithGaps() {
  ModelConfig config = Padded();
  config.gaps = {0, 17, 18, 90};
  return config;
}

// The upper layer without RoPE.
ModelConfig SmolLm3() {
  ModelConfig config = SmallConfig();
  config.no_rope = {1};
  return config;
}

std::unique_ptr<Transformer> Make(Dtype dtype, bool trainable = false,
                                  const ModelConfig& config = SmallConfig()) {
  RandomWeights weights = MakeRandomWeights(config, 1);
  auto model = std::make_unique<Transformer>(config, dtype);
  absl::Status loaded = model->Load(weights.manifest, weights.bytes, trainable);
  EXPECT_TRUE(loaded.ok()) << loaded;
  return model;
}

struct ExactCase {
  Dtype dtype;
  ModelConfig config;
};
class ExactTest : public testing::TestWithParam<ExactCase> {};

TEST_P(ExactTest, DecodingPrefillAndPackedForwardGiveTheSameBits) {
  at::NoGradGuard no_grad;
  auto model = Make(GetParam().dtype, false, GetParam().config);
  const int64_t n = 150;
  auto tokens = RandomTokens(n, 99, 1), other = RandomTokens(70, 99, 2);

  // Packed, after another sequence.
  auto packed = PackedAttention(model->config(), {0, 70, 70 + n});
  auto both = other, positions = Positions(0, 70);
  both.insert(both.end(), tokens.begin(), tokens.end());
  for (int32_t p : Positions(0, n)) positions.push_back(p);
  at::Tensor whole = model->Forward(Ints(both), Ints(positions), *packed).narrow(0, 70, n);

  // A prefill of 65 tokens, then one token a pass; from token 100 on, together with a fork.
  auto cache = std::make_unique<KvCache>(model->config(), GetParam().dtype, 64 << 20);
  auto id = cache->Add(n).value();
  auto first = cache->BeginPass(std::vector<KvCache::SequenceId>(65, id));
  at::Tensor prefill =
      model->Forward(Ints({tokens.begin(), tokens.begin() + 65}), Ints(Positions(0, 65)), *first);
  EXPECT_TRUE(prefill.equal(whole.narrow(0, 0, 65)));
  KvCache::SequenceId companion = -1;
  for (int64_t t = 65; t < n; ++t) {
    if (t == 100) companion = cache->Fork(id, 80, n).value();
    std::vector<KvCache::SequenceId> rows = {id};
    std::vector<int32_t> step = {tokens[t]}, at = {static_cast<int32_t>(t)};
    if (companion >= 0) {
      rows.insert(rows.begin(), companion);
      int64_t p = cache->length(companion);
      step.insert(step.begin(), tokens[p]);
      at.insert(at.begin(), static_cast<int32_t>(p));
    }
    auto source = cache->BeginPass(rows);
    at::Tensor hidden = model->Forward(Ints(step), Ints(at), *source);
    ASSERT_TRUE(hidden[hidden.size(0) - 1].equal(whole[t])) << "token " << t;
    if (companion >= 0) {
      ASSERT_TRUE(hidden[0].equal(whole[at[0]])) << "forked token " << at[0];
    }
  }
}

TEST_P(ExactTest, TheLearnersLogProbIsTheSamplersBitForBit) {
  auto model = Make(GetParam().dtype, true, GetParam().config);
  auto tokens = RandomTokens(90, 99, 3);
  auto packed = PackedAttention(model->config(), {0, 90});
  at::Tensor trained = model->Forward(Ints(tokens), Ints(Positions(0, 90)), *packed);
  ASSERT_TRUE(trained.requires_grad());
  for (double temperature : {1.0, 0.7}) {
    std::vector<TokenDraw> rows(90);
    for (int i = 0; i < 90; ++i) rows[i] = {.temperature = temperature, .uniform = i / 90.0};
    auto sampled = Sample(*model, trained.detach(), rows).value();
    std::vector<int32_t> targets;
    for (const DrawnToken& s : sampled) targets.push_back(static_cast<int32_t>(s.token));
    at::Tensor logprob = model->LogProb(trained, Ints(targets), temperature);
    for (int i = 0; i < 90; ++i) {
      ASSERT_EQ(logprob[i].item<float>(), sampled[i].logprob) << "row " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, ExactTest,
    testing::Values(ExactCase{Dtype::kBf16, SmallConfig()}, ExactCase{Dtype::kFp32, SmallConfig()},
                    ExactCase{Dtype::kBf16, Llama3()}, ExactCase{Dtype::kBf16, Qwen2()},
                    ExactCase{Dtype::kFp32, Qwen2()}, ExactCase{Dtype::kBf16, Qwen3()},
                    ExactCase{Dtype::kFp32, Qwen3()}, ExactCase{Dtype::kBf16, Padded()},
                    ExactCase{Dtype::kFp32, Padded()}, ExactCase{Dtype::kBf16, WithGaps()},
                    ExactCase{Dtype::kFp32, WithGaps()}, ExactCase{Dtype::kBf16, SmolLm3()},
                    ExactCase{Dtype::kBf16, BiasedAndFused()},
                    ExactCase{Dtype::kFp32, BiasedAndFused()}));

TEST(UnusedRowsTest, AreNeverDrawnAndNoPartOfTheSoftmax) {
  RandomWeights weights = MakeRandomWeights(Padded(), 1);
  auto load = [&](int64_t unused_rows) {
    ModelConfig config = Padded();
    config.unused_rows = unused_rows;
    auto model = std::make_unique<Transformer>(config, Dtype::kFp32);
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
    return model;
  };
  auto padded = load(7), whole = load(0);
  at::NoGradGuard no_grad;
  const at::Tensor hidden = at::ones({1, 48});
  // Without the mask, row 95 would be drawn every time.
  for (Transformer* model : {padded.get(), whole.get()}) {
    model->Parameters().back().second[95].fill_(10);
    model->Repack();
  }
  const at::Tensor logits = padded->Logits(hidden), all = whole->Logits(hidden);
  ASSERT_EQ(logits.size(1), 92);
  EXPECT_TRUE(logits.equal(all.narrow(1, 0, 92)));
  EXPECT_EQ(Sample(*whole, hidden, {TokenDraw{.uniform = 0.5}})->at(0).token, 95u);
  for (int i = 0; i < 100; ++i) {
    const TokenDraw draw = {.uniform = i / 100.0};
    EXPECT_LT(Sample(*padded, hidden, {draw})->at(0).token, 92u);
  }
  EXPECT_LT(Sample(*padded, hidden, {TokenDraw{.temperature = 0}})->at(0).token, 92u);
  double sum = 0;
  for (int i = 0; i < 92; ++i) {
    sum += std::exp(padded->LogProb(hidden, Ints({i}), 1.0)[0].item<double>());
  }
  EXPECT_NEAR(sum, 1, 1e-4);
}

TEST(UnusedRowsTest, GetNoGradient) {
  auto model = Make(Dtype::kFp32, true, Padded());
  const at::Tensor hidden = at::ones({1, 48});
  model->LogProb(hidden, Ints({5}), 1.0).sum().backward();
  const auto& [name, head] = model->Parameters().back();
  ASSERT_EQ(name, "lm_head.weight");
  const at::Tensor grad = head.grad();
  ASSERT_EQ(grad.size(0), 99);
  for (int64_t row = 0; row < 99; ++row) {
    EXPECT_EQ(grad[row].abs().max().item<float>() > 0, row < 92) << row;
  }
}

TEST(GapsTest, AreNeverDrawnAndNoPartOfTheSoftmaxAndGetNoGradient) {
  RandomWeights weights = MakeRandomWeights(Padded(), 1);
  auto load = [&](const ModelConfig& config) {
    auto model = std::make_unique<Transformer>(config, Dtype::kFp32);
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
    for (int64_t row : WithGaps().gaps) model->Parameters().back().second[row].data().fill_(10);
    model->Repack();
    return model;
  };
  auto gapped = load(WithGaps()), whole = load(Padded());
  const at::Tensor hidden = at::ones({1, 48});
  const auto is_gap = [](int64_t id) { return !WithGaps().HasToken(id); };
  ASSERT_TRUE(is_gap(Sample(*whole, hidden, {TokenDraw{.temperature = 0}})->at(0).token));
  EXPECT_FALSE(is_gap(Sample(*gapped, hidden, {TokenDraw{.temperature = 0}})->at(0).token));
  for (int i = 0; i < 100; ++i) {
    for (const TokenDraw& draw :
         {TokenDraw{.uniform = i / 100.0}, TokenDraw{.top_k = 500, .uniform = i / 100.0},
          TokenDraw{.top_p = 0.999, .uniform = i / 100.0}}) {
      EXPECT_FALSE(is_gap(Sample(*gapped, hidden, {draw})->at(0).token));
    }
  }
  double sum = 0;
  for (int i = 0; i < 92; ++i) {
    at::NoGradGuard no_grad;
    if (!is_gap(i)) sum += std::exp(gapped->LogProb(hidden, Ints({i}), 1.0)[0].item<double>());
  }
  EXPECT_NEAR(sum, 1, 1e-4);
  gapped->LogProb(hidden, Ints({5}), 1.0).sum().backward();
  const at::Tensor grad = gapped->Parameters().back().second.grad();
  for (int64_t row = 0; row < 92; ++row) {
    EXPECT_EQ(grad[row].abs().max().item<float>() > 0, !is_gap(row)) << row;
  }
}

double Loss(Transformer& model, const std::vector<int32_t>& tokens) {
  auto packed = PackedAttention(model.config(), {0, 30, 71});
  auto positions = Positions(0, 30);
  for (int32_t p : Positions(0, 41)) positions.push_back(p);
  at::Tensor hidden = model.Forward(Ints(tokens), Ints(positions), *packed);
  std::vector<int32_t> targets(tokens.begin() + 1, tokens.end());
  targets.push_back(5);
  // In double: near 5, an fp32 number has steps of 5e-7.
  at::Tensor loss = model.LogProb(hidden, Ints(targets), 0.9).to(at::kDouble).mean();
  if (loss.requires_grad()) loss.backward();
  return loss.item<double>();
}

class FamilyGradientTest : public testing::TestWithParam<ModelConfig> {};
INSTANTIATE_TEST_SUITE_P(Models, FamilyGradientTest,
                         testing::Values(SmallConfig(), Llama3(), Qwen2(), Qwen3(), SmolLm3(),
                                         Padded()));

TEST_P(FamilyGradientTest, AgreesWithDifferencesAlongEveryParameter) {
  auto model = Make(Dtype::kFp32, true, GetParam());
  auto tokens = RandomTokens(71, GetParam().num_tokens(), 4);
  Loss(*model, tokens);
  at::NoGradGuard no_grad;
  for (auto& [name, parameter] : model->Parameters()) {
    // Along the gradient itself the difference is largest and best conditioned.
    at::Tensor grad = parameter.grad().clone();
    double norm = grad.norm().item<double>();
    ASSERT_GT(norm, 0) << name;
    at::Tensor direction = grad / norm;
    const double h = 2e-3;
    parameter.add_(direction, h);
    model->Repack();
    double up = Loss(*model, tokens);
    parameter.add_(direction, -2 * h);
    model->Repack();
    double down = Loss(*model, tokens);
    parameter.add_(direction, h);
    model->Repack();
    // The loss is known to about 1e-7, which counts where the gradient is small.
    EXPECT_NEAR((up - down) / (2 * h) / norm, 1.0, 0.02 + 1e-7 / (h * norm)) << name;
  }
}

TEST(GradientTest, OfTheHeadNeedsNoGradientOfTheHiddenStates) {
  auto model = Make(Dtype::kFp32, true);
  at::Tensor fixed;
  {
    at::NoGradGuard no_grad;
    auto packed = PackedAttention(model->config(), {0, 40});
    fixed = model->Forward(Ints(RandomTokens(40, 99, 4)), Ints(Positions(0, 40)), *packed);
  }
  auto head_gradient = [&](const at::Tensor& hidden) {
    for (auto& [name, parameter] : model->Parameters()) parameter.mutable_grad() = at::Tensor();
    model->LogProb(hidden, Ints(RandomTokens(40, 99, 5)), 1.0).sum().backward();
    return model->Parameters()[0].second.grad().clone();  // the embedding, tied to the head
  };
  at::Tensor wanted = head_gradient(fixed.clone().requires_grad_(true));
  EXPECT_GT(wanted.norm().item<float>(), 0);
  EXPECT_TRUE(head_gradient(fixed).equal(wanted));
}

TEST_P(FamilyGradientTest, IsTheSameInBf16ToItsPrecision) {
  auto exact = Make(Dtype::kFp32, true, GetParam());
  auto rounded = Make(Dtype::kBf16, true, GetParam());
  auto tokens = RandomTokens(71, GetParam().num_tokens(), 4);
  Loss(*exact, tokens);
  Loss(*rounded, tokens);
  auto a = exact->Parameters(), b = rounded->Parameters();
  for (size_t i = 0; i < a.size(); ++i) {
    at::Tensor x = a[i].second.grad().flatten(), y = b[i].second.grad().flatten();
    double cosine = x.dot(y).item<double>() / (x.norm() * y.norm()).item<double>();
    EXPECT_GT(cosine, 0.99) << a[i].first;
  }
}

}  // namespace
}  // namespace reckon
