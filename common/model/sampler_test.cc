#include "common/model/sampler.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "common/base/rng.h"
#include "common/model/transformer.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"

namespace reckon {
namespace {

constexpr int kDraws = 100000;

class SamplerTest : public testing::Test {
 protected:
  SamplerTest() {
    RandomWeights weights = MakeRandomWeights(SmallConfig(), 9);
    model_ = std::make_unique<Transformer>(SmallConfig(), Dtype::kFp32);
    EXPECT_TRUE(model_->Load(weights.manifest, weights.bytes, false).ok());
    hidden_ = at::empty({1, 48}, at::kFloat);
    for (int i = 0; i < 48; ++i) {
      hidden_.mutable_data_ptr<float>()[i] = static_cast<float>(std::sin(i * 1.7)) * 2;
    }
    logits_ = model_->Logits(hidden_);
  }

  // The distribution by its definition, in fp64.
  std::vector<double> Expected(const TokenDraw& row) const {
    const int n = 99;
    std::vector<double> p(n);
    for (int i = 0; i < n; ++i) p[i] = std::exp(logits_[0][i].item<double>() / row.temperature);
    auto normalise = [&] {
      double sum = std::accumulate(p.begin(), p.end(), 0.0);
      for (double& x : p) x /= sum;
    };
    normalise();
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });
    if (row.top_k > 0) {
      for (int i = static_cast<int>(row.top_k); i < n; ++i) p[order[i]] = 0;
      normalise();
    }
    if (row.top_p < 1) {
      double sum = 0;
      for (int i : order) {
        if (sum >= row.top_p) p[i] = 0;
        sum += p[i];
      }
      normalise();
    }
    return p;
  }

  void ExpectDistribution(TokenDraw row) {
    std::vector<double> p = Expected(row);
    std::vector<int> seen(p.size());
    at::Tensor hidden = hidden_.repeat({1000, 1});
    CounterRng rng(StreamKey(3, "sampler_test"));
    for (int batch = 0; batch < kDraws / 1000; ++batch) {
      std::vector<TokenDraw> rows(1000, row);
      for (int i = 0; i < 1000; ++i) rows[i].uniform = rng.Uniform(batch * 1000 + i);
      const auto drawn = Sample(*model_, hidden, rows);
      ASSERT_TRUE(drawn.ok()) << drawn.status();
      for (const DrawnToken& s : *drawn) {
        ++seen[s.token];
        ASSERT_NEAR(s.logprob, std::log(p[s.token]), 1e-4);
      }
    }
    double chi2 = 0;
    int cells = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i] == 0) {
        ASSERT_EQ(seen[i], 0) << i;
      }
      if (p[i] * kDraws < 5) continue;
      chi2 += std::pow(seen[i] - p[i] * kDraws, 2) / (p[i] * kDraws);
      ++cells;
    }
    // Mean cells - 1, variance twice that: five standard deviations.
    EXPECT_LT(chi2, cells + 5 * std::sqrt(2.0 * cells));
  }

  std::unique_ptr<Transformer> model_;
  at::Tensor hidden_, logits_;
  at::NoGradGuard no_grad_;
};

TEST_F(SamplerTest, DrawsTheTemperedDistribution) {
  ExpectDistribution({.temperature = 1.0});
  ExpectDistribution({.temperature = 0.5});
}

TEST_F(SamplerTest, DrawsTheTopKDistribution) {
  ExpectDistribution({.temperature = 1, .top_k = 7});
}

TEST_F(SamplerTest, DrawsTheTopPDistribution) {
  ExpectDistribution({.temperature = 1, .top_p = 0.6});
}

TEST_F(SamplerTest, DrawsTopPInsideTopK) {
  ExpectDistribution({.temperature = 1.3, .top_k = 20, .top_p = 0.7});
}

TEST_F(SamplerTest, GreedyTakesTheLargestAndReportsTheUntemperedLogProb) {
  TokenDraw row{.temperature = 0, .uniform = 0.9};
  DrawnToken s = Sample(*model_, hidden_, {&row, 1})->at(0);
  EXPECT_EQ(s.token, logits_.argmax().item<int64_t>());
  EXPECT_NEAR(s.logprob, logits_.log_softmax(-1)[0][s.token].item<float>(), 1e-5);
}

TEST_F(SamplerTest, AForcedTokenIsTakenWithItsUntemperedLogProb) {
  TokenDraw row{.temperature = 0.5, .top_k = 3, .forced = 42};
  DrawnToken s = Sample(*model_, hidden_, {&row, 1})->at(0);
  EXPECT_EQ(s.token, 42u);
  EXPECT_NEAR(s.logprob, logits_.log_softmax(-1)[0][42].item<float>(), 1e-5);
}

TEST_F(SamplerTest, TheLikeliestTokensAreThoseOfTheDistributionThatIsDrawnFrom) {
  for (TokenDraw row :
       {TokenDraw{.temperature = 1}, TokenDraw{.temperature = 0.5},
        TokenDraw{.temperature = 1.3, .top_k = 5}, TokenDraw{.temperature = 1, .top_p = 0.3},
        TokenDraw{.temperature = 0}, TokenDraw{.forced = 42}}) {
    row.uniform = 0.5;
    const DrawnToken plain = Sample(*model_, hidden_, {&row, 1})->at(0);
    row.ranked = 8;
    const DrawnToken s = Sample(*model_, hidden_, {&row, 1})->at(0);
    EXPECT_EQ(s.token, plain.token);
    EXPECT_EQ(s.logprob, plain.logprob);
    EXPECT_TRUE(plain.ranked.empty());
    const bool tempered = row.temperature > 0 && row.forced < 0;
    const std::vector<double> p = Expected(tempered ? row : TokenDraw{.temperature = 1});
    std::vector<double> likeliest = p;
    std::sort(likeliest.rbegin(), likeliest.rend());
    const int64_t left = std::count_if(p.begin(), p.end(), [](double each) { return each > 0; });
    ASSERT_EQ(s.ranked.size(), static_cast<size_t>(std::min<int64_t>(8, left)));
    for (size_t i = 0; i < s.ranked.size(); ++i) {
      EXPECT_NEAR(s.ranked[i].logprob, std::log(likeliest[i]), 1e-4);
      EXPECT_NEAR(s.ranked[i].logprob, std::log(p[s.ranked[i].token]), 1e-4);
      if (s.ranked[i].token == s.token) {
        EXPECT_EQ(s.ranked[i].logprob, s.logprob);
      }
    }
  }
}

TEST_F(SamplerTest, TheEndsOfTheUniformAreTokensWithWeight) {
  for (double uniform : {0.0, 1.0 - 0x1.0p-53}) {
    TokenDraw row{.temperature = 1, .top_k = 2, .uniform = uniform};
    DrawnToken s = Sample(*model_, hidden_, {&row, 1})->at(0);
    EXPECT_GT(s.logprob, -20);
  }
}

// Four tokens of one probability.
TEST(DrawFromLogitsTest, LowerIdsWinTiesAndAShareIsReachedWhereItIsEqual) {
  const at::Tensor logits = at::zeros({1, 4}, at::kFloat);
  const auto draw = [&](const TokenDraw& row) {
    return DrawFromLogits(logits, {}, {&row, 1}).value()[0];
  };
  EXPECT_EQ(draw({.temperature = 0}).token, 0u);
  for (uint32_t token = 0; token < 4; ++token) {
    EXPECT_EQ(draw({.uniform = token / 4.0}).token, token) << "the sum before it is no more";
  }
  for (const TokenDraw& half :
       {TokenDraw{.top_k = 2}, TokenDraw{.top_p = 0.5}, TokenDraw{.top_k = 4, .top_p = 0.5},
        TokenDraw{.top_k = 3, .top_p = 0.6}}) {
    TokenDraw row = half;
    row.uniform = 0.99;
    row.ranked = 4;
    const DrawnToken drawn = draw(row);
    EXPECT_EQ(drawn.token, 1u);
    ASSERT_EQ(drawn.ranked.size(), 2u);
    EXPECT_EQ(drawn.ranked[0].token, 0u);
    EXPECT_EQ(drawn.ranked[1].token, 1u);
  }
}

// Of gaps the logits are minus infinity.
TEST(DrawFromLogitsTest, GapsAreNotDrawnAndNoError) {
  const at::Tensor logits = at::zeros({1, 4}, at::kFloat);
  for (int64_t gap : {1, 2}) logits[0][gap].fill_(-INFINITY);
  const TokenDraw row = {.uniform = 0.5};
  const auto drawn = DrawFromLogits(logits, {1, 2}, {&row, 1});
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  EXPECT_EQ(drawn->at(0).token, 3u);
  EXPECT_FALSE(DrawFromLogits(logits, {1}, {&row, 1}).ok());
}

TEST_F(SamplerTest, EachOfManyRowsIsDrawnAsItAsks) {
  constexpr int kRows = 100'000;  // more than are computed at once
  std::vector<TokenDraw> rows(kRows);
  for (int i = 0; i < kRows; ++i) rows[i].forced = i % 97;
  const auto drawn = Sample(*model_, hidden_.expand({kRows, -1}).contiguous(), rows);
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  ASSERT_EQ(drawn->size(), rows.size());
  for (int i = 0; i < kRows; ++i) ASSERT_EQ((*drawn)[i].token, rows[i].forced) << i;
}

// Also where the token that would be drawn has a number: the others decide its probability.
TEST_F(SamplerTest, LogitsThatAreNoNumbersAreAnError) {
  for (const float broken : {INFINITY, -INFINITY, NAN}) {
    at::Tensor hidden = hidden_.repeat({3, 1});
    hidden.mutable_data_ptr<float>()[48 + 5] = broken;
    for (const TokenDraw& draw :
         {TokenDraw{.temperature = 0}, TokenDraw{.temperature = 1},
          TokenDraw{.temperature = 1, .top_k = 2}, TokenDraw{.forced = 1}}) {
      const std::vector<TokenDraw> rows(3, draw);
      EXPECT_EQ(Sample(*model_, hidden, rows).status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

}  // namespace
}  // namespace reckon
