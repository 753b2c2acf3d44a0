#include "learner/update/scoring.h"

#include <ATen/TensorOperators.h>

#include "c10/util/Exception.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "tests/support/rank_threads.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

class ScoringTest : public testing::Test {
 protected:
  ScoringTest() {
    const Weights weights = MakeTinyModel();
    auto config = ModelConfig::Parse(weights.manifest.texts().config_json());
    EXPECT_TRUE(config.ok()) << config.status();
    config_ = *config;
    for (uint32_t i = 0; i < 5; ++i) {
      std::vector<uint32_t> completion(1 + 3 * i, 40 + i);
      sequences_.push_back(MakeSequence({1, 2 + i}, completion));
    }
    for (const TrainingSequence& sequence : sequences_) batch_.push_back(&sequence);
  }

  std::unique_ptr<Transformer> Model() const {
    const Weights weights = MakeTinyModel();
    auto model = std::make_unique<Transformer>(config_, Dtype::kFp32);
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes->bytes(), true).ok());
    return model;
  }

  ModelConfig config_;
  std::vector<TrainingSequence> sequences_;
  std::vector<const TrainingSequence*> batch_;
};

TEST_F(ScoringTest, HasTheSameBitsWithASharedPromptAndWithout) {
  struct Case {
    size_t prompt;
    std::vector<size_t> completions;
  };
  // Prompts that end within a page of the KV cache, at its end, and in the second; and one in which
  // prompt and samples have one row each, as the samples of a decode pass.
  const std::vector<std::vector<Case>> passes = {
      {{20, {1, 26, 51, 76}}, {64, {1, 26, 51, 76}}, {90, {1, 26, 51, 76}}}, {{1, {2, 2, 2}}}};
  for (const std::vector<Case>& pass : passes) {
    std::vector<TrainingSequence> sequences;
    for (const Case& group : pass) {
      for (size_t i = 0; i < group.completions.size(); ++i) {
        std::vector<uint32_t> completion(group.completions[i]);
        for (size_t t = 0; t < completion.size(); ++t) completion[t] = (7 * t + i) % kTinyVocab;
        sequences.push_back(MakeSequence(std::vector<uint32_t>(group.prompt, 9), completion));
      }
    }
    std::vector<const TrainingSequence*> batch;
    for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
    const std::unique_ptr<Parallel> single = MakeSingle();
    TokenValues shared, alone;
    ASSERT_TRUE(ScoreTokens(*Model(), *single, batch, 100000, {}, &shared).ok());
    ASSERT_TRUE(ScoreTokens(*Model(), *single, batch, 1, {}, &alone).ok());
    EXPECT_EQ(shared, alone);
  }
}

// The rank's micro-batches are not those of one alone, so a token's number must find its sequence.
TEST_F(ScoringTest, IsTheSameForAnyMicroBatchSizeAndNumberOfRanks) {
  const TokenHead head = [](const MicroBatch& micro, const TokenStates&) {
    return micro.targets.to(at::kFloat) + micro.predicting.gt(-1).to(at::kFloat) * 1000;
  };
  const std::unique_ptr<Parallel> single = MakeSingle();
  TokenValues logprobs, values;
  ASSERT_TRUE(ScoreTokens(*Model(), *single, batch_, 100000, {}, &logprobs, head, &values).ok());
  ASSERT_EQ(logprobs.size(), batch_.size());
  for (size_t i = 0; i < batch_.size(); ++i) {
    EXPECT_EQ(values[i], std::vector<float>(1 + 3 * i, 1040.0f + i));
    EXPECT_EQ(logprobs[i].size(), values[i].size());
    for (float logprob : logprobs[i]) EXPECT_LT(logprob, 0);
  }
  TokenValues small_logprobs, small_values;
  ASSERT_TRUE(
      ScoreTokens(*Model(), *single, batch_, 8, {}, &small_logprobs, head, &small_values).ok());
  EXPECT_EQ(small_logprobs, logprobs);
  EXPECT_EQ(small_values, values);
  std::stop_source stop;
  AsRanks(2, &stop, [&](Parallel& parallel) {
    TokenValues rank_logprobs, rank_values;
    ASSERT_TRUE(
        ScoreTokens(*Model(), parallel, batch_, 8, {}, &rank_logprobs, head, &rank_values).ok());
    EXPECT_EQ(rank_logprobs, logprobs);
    EXPECT_EQ(rank_values, values);
  });
}

TEST_F(ScoringTest, TheTemperatureSharpensTheDistribution) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  TokenValues plain, sharp;
  ASSERT_TRUE(ScoreTokens(*Model(), *single, batch_, 64, {}, &plain).ok());
  ASSERT_TRUE(ScoreTokens(*Model(), *single, batch_, 64, {.temperature = 0.5}, &sharp).ok());
  EXPECT_NE(plain, sharp);
}

TEST_F(ScoringTest, ComputesOnlyWhatIsAskedFor) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  TokenValues untouched = {{7}}, values;
  const TokenHead head = [](const MicroBatch& micro, const TokenStates& states) {
    EXPECT_FALSE(states.logprobs.defined());
    EXPECT_FALSE(states.hidden.requires_grad());
    return states.hidden.sum(1);
  };
  ASSERT_TRUE(
      ScoreTokens(*Model(), *single, batch_, 64, {.logprobs = false}, &untouched, head, &values)
          .ok());
  EXPECT_EQ(untouched, TokenValues{{7}});
  EXPECT_EQ(values.size(), batch_.size());
}

TEST_F(ScoringTest, AnExceptionIsAStatusWithOneLine) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  TokenValues logprobs, values;
  const TokenHead head = [](const MicroBatch&, const TokenStates&) -> at::Tensor {
    TORCH_CHECK(false, "a head that fails");
  };
  const absl::Status status =
      ScoreTokens(*Model(), *single, batch_, 64, {}, &logprobs, head, &values);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "scoring: a head that fails");
}

}  // namespace
}  // namespace reckon
