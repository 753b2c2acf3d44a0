#include "actor/serve/batcher.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

GenerationRequest MakeRequest(uint64_t seed, uint32_t samples = 1, uint32_t tokens = 12) {
  GenerationRequest request;
  request.prompts = {{3, 1, 4, 1, 5}, {9, 2, 6}};
  request.samples = samples;
  request.sampling.set_max_new_tokens(tokens);
  request.seed = seed;
  return request;
}

struct Whole {
  std::vector<std::string> texts;
  std::vector<std::vector<uint32_t>> tokens;
  bool operator==(const Whole&) const = default;
};

absl::StatusOr<Whole> ReadAll(Generation* generation) {
  Whole whole;
  const size_t choices = generation->request().prompts.size() * generation->request().samples;
  whole.texts.resize(choices);
  whole.tokens.resize(choices);
  while (!generation->ended()) {
    absl::StatusOr<std::vector<ChoiceNews>> news = generation->Next(absl::InfiniteDuration());
    if (!news.ok()) return news.status();
    for (const ChoiceNews& each : *news) {
      whole.texts[each.choice] += each.text;
      for (const GeneratedToken& token : each.tokens) {
        whole.tokens[each.choice].push_back(token.id);
        EXPECT_EQ(token.ranked.size(), generation->request().ranked);
        if (token.ranked.empty()) continue;
        EXPECT_GE(token.ranked[0].logprob, token.logprob);
      }
    }
  }
  return whole;
}

class BatcherTest : public testing::Test {
 protected:
  // `slow`: so that a request is unfinished while a test looks at it.
  void Start(BatcherOptions options = {}, bool slow = false) {
    FakeModelRunner::Options runner;
    runner.max_positions = 4096;
    runner.total_pages = 4000;
    if (slow) runner.pass_time = absl::Milliseconds(2);
    runner_ = std::make_unique<FakeModelRunner>(runner);
    batcher_ = std::make_unique<Batcher>(runner_.get(), &tokenizer_, options);
  }
  std::shared_ptr<Generation> Submit(GenerationRequest request) {
    auto generation = batcher_->Submit(std::move(request));
    EXPECT_TRUE(generation.ok()) << generation.status();
    return generation.ok() ? *generation : nullptr;
  }
  Whole Run(GenerationRequest request) {
    const auto generation = Submit(std::move(request));
    absl::StatusOr<Whole> whole = ReadAll(generation.get());
    EXPECT_TRUE(whole.ok()) << whole.status();
    return whole.ok() ? *whole : Whole();
  }

  const TableTokenizer tokenizer_ = TableTokenizer::OfLetters();
  std::unique_ptr<FakeModelRunner> runner_;
  std::unique_ptr<Batcher> batcher_;
};

TEST_F(BatcherTest, AChoiceIsAFunctionOfRequestAndSeedWhateverElseIsBatched) {
  Start();
  GenerationRequest request = MakeRequest(7, 3, 40);
  request.ranked = 4;
  const Whole alone = Run(request);
  std::vector<std::shared_ptr<Generation>> others;
  for (uint64_t seed = 100; seed < 120; ++seed) others.push_back(Submit(MakeRequest(seed, 2, 60)));
  EXPECT_EQ(Run(request), alone);
  for (const auto& other : others) EXPECT_TRUE(ReadAll(other.get()).ok());
  EXPECT_NE(alone.texts[0], alone.texts[1]) << "samples of one prompt have streams of their own";
  request.seed = 8;
  EXPECT_NE(Run(request), alone);
  EXPECT_GT(runner_->widest_pass(), 6u) << "they were batched";
  EXPECT_EQ(batcher_->unfinished(), 0);
}

TEST_F(BatcherTest, AStopStringCutsTheTextAndNotTheTokens) {
  Start();
  GenerationRequest request = MakeRequest(7, 1, 40);
  const Whole whole = Run(request);
  request.stop_strings = {whole.texts[0].substr(10, 3)};
  const Whole cut = Run(request);
  const size_t at = whole.texts[0].find(request.stop_strings[0]);
  EXPECT_EQ(cut.texts[0], whole.texts[0].substr(0, at));
  EXPECT_EQ(cut.tokens[0].size(), at + 3);
}

TEST_F(BatcherTest, BeyondItsBoundARequestIsRefused) {
  Start({.max_requests = 2}, /*slow=*/true);
  const auto first = Submit(MakeRequest(1, 1, 2000)), second = Submit(MakeRequest(2, 1, 2000));
  const auto third = batcher_->Submit(MakeRequest(3));
  ASSERT_TRUE(absl::IsResourceExhausted(third.status())) << third.status();
  first->Cancel();
  EXPECT_TRUE(absl::IsCancelled(ReadAll(first.get()).status()));
  EXPECT_TRUE(batcher_->Submit(MakeRequest(3)).ok());
}

TEST_F(BatcherTest, WhatIsCancelledLeavesTheEngine) {
  Start({}, /*slow=*/true);
  const auto generation = Submit(MakeRequest(1, 4, 2000));
  ASSERT_TRUE(generation->Next(absl::InfiniteDuration()).ok());
  generation->Cancel();
  batcher_->Drain(absl::InfiniteFuture());
  EXPECT_EQ(runner_->sequences(), 0u);
  EXPECT_EQ(runner_->free_pages(), runner_->total_pages());
}

TEST_F(BatcherTest, ADeadlineEndsARequest) {
  Start({}, /*slow=*/true);
  GenerationRequest request = MakeRequest(1, 1, 2000);
  request.deadline = absl::Now() + absl::Milliseconds(30);
  const auto generation = Submit(request);
  EXPECT_TRUE(absl::IsDeadlineExceeded(ReadAll(generation.get()).status()));
}

TEST_F(BatcherTest, ARequestThatCanNeverRunIsRefusedAndOthersContinue) {
  Start({}, /*slow=*/true);
  const auto good = Submit(MakeRequest(1, 1, 200));
  GenerationRequest request = MakeRequest(1);
  request.prompts[1].push_back(100000);  // no token of the model
  const auto bad = Submit(request);
  const absl::Status status = ReadAll(bad.get()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("100000"));
  EXPECT_TRUE(ReadAll(good.get()).ok());
}

TEST_F(BatcherTest, AFailedPassFailsWhatWasInItAndIsForgotten) {
  Start();
  runner_->FailNextPass(absl::DataLossError("not finite"));
  const auto failed = Submit(MakeRequest(1));
  const absl::Status status = ReadAll(failed.get()).status();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_FALSE(batcher_->Health().ok());
  Run(MakeRequest(1));
  EXPECT_TRUE(batcher_->Health().ok());
}

TEST_F(BatcherTest, DrainingFinishesWhatThereIsAndTakesNoMore) {
  Start({}, /*slow=*/true);
  const auto generation = Submit(MakeRequest(1, 1, 100));
  batcher_->Drain(absl::InfiniteFuture());
  EXPECT_TRUE(ReadAll(generation.get()).ok());
  EXPECT_TRUE(absl::IsUnavailable(batcher_->Submit(MakeRequest(2)).status()));
  EXPECT_FALSE(batcher_->Health().ok());
}

TEST_F(BatcherTest, WhatIsUnfinishedWhenTheTimeIsOverEnds) {
  Start({}, /*slow=*/true);
  const auto generation = Submit(MakeRequest(1, 1, 4000));
  batcher_->Drain(absl::Now());
  EXPECT_TRUE(absl::IsUnavailable(ReadAll(generation.get()).status()));
  EXPECT_EQ(runner_->sequences(), 0u);
}

}  // namespace
}  // namespace reckon
