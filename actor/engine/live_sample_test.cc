#include "actor/engine/live_sample.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/engine_work.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using ::testing::ElementsAreArray;

// Samples as an engine makes them: with passes that are finished at once, and with passes that run
// ahead of their results.
class LiveSampleTest : public testing::TestWithParam<int64_t> {
 protected:
  static FakeModelRunner::Options Fake() { return {.decodes_ahead = GetParam()}; }
};

TEST_P(LiveSampleTest, TheLikeliestTokensAreReportedWhereTheyAreAskedFor) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  const EngineWork asks = MakeWork(3, 1, 9), other = MakeWork(4, 1, 9);
  ASSERT_TRUE(engine.Admit(asks.lease, std::make_shared<const PlanSpec>(asks.plan), 5).ok());
  Admit(other, &engine);
  bool seen = false;
  while (!engine.idle()) {
    const auto finished = engine.RunPass();
    ASSERT_TRUE(finished.ok());
    for (const LiveSample& sample : engine.live()) {
      const bool asked = sample.group()->lease.id() == asks.lease.id();
      EXPECT_EQ(sample.ranked().size(), asked ? sample.tokens().size() : 0);
    }
    for (const FinishedSample& sample : *finished) {
      if (sample.lease != asks.lease.id()) continue;
      seen = true;
      const TokenSpan& sampled = sample.rollout.spans(1);
      ASSERT_EQ(sample.ranked.size(), static_cast<size_t>(sampled.tokens_size()));
      for (int i = 0; i < sampled.tokens_size(); ++i) {
        ASSERT_EQ(sample.ranked[i].size(), 5u);
        EXPECT_LE(sampled.logprobs(i), sample.ranked[i][0].logprob);
        for (int k = 1; k < 5; ++k) {
          EXPECT_GE(sample.ranked[i][k - 1].logprob, sample.ranked[i][k].logprob);
        }
      }
    }
  }
  EXPECT_TRUE(seen);
}

TEST_P(LiveSampleTest, ASampleIsWhatTheModelDrawsTokenByToken) {
  FakeModelRunner runner(Fake());
  const EngineWork work = MakeWork(3, 2, 9);
  const EngineResults results = RunAll({work}, &runner);
  ASSERT_EQ(results.size(), 2u);
  for (const auto& [key, rollout] : results) {
    std::vector<uint32_t> history(work.lease.item().prompt_tokens().begin(),
                                  work.lease.item().prompt_tokens().end());
    ASSERT_EQ(rollout.spans_size(), 2);
    EXPECT_EQ(rollout.spans(0).kind(), TokenSpan::PROMPT);
    EXPECT_THAT(rollout.spans(0).tokens(), ElementsAreArray(history));
    const TokenSpan& sampled = rollout.spans(1);
    EXPECT_EQ(sampled.kind(), TokenSpan::SAMPLED);
    EXPECT_EQ(sampled.weight_version(), 7u);
    ASSERT_EQ(sampled.tokens_size(), 9);
    ASSERT_EQ(sampled.logprobs_size(), 9);
    EXPECT_EQ(rollout.finish(), FINISH_LENGTH);
    const CounterRng rng(StreamKey(5, "p", 3, std::get<1>(key)));
    for (int i = 0; i < 9; ++i) {
      TokenDraw draw;
      draw.uniform = rng.Uniform(i);
      const DrawnToken drawn = runner.Next(history, draw);
      EXPECT_EQ(sampled.tokens(i), drawn.token);
      EXPECT_EQ(sampled.logprobs(i), drawn.logprob);
      history.push_back(drawn.token);
    }
    const TableTokenizer tokenizer = TableTokenizer::OfLetters();
    EXPECT_EQ(rollout.completion(),
              tokenizer.Decode({sampled.tokens().data(), 9u}, /*skip_special=*/true));
  }
}

TEST_P(LiveSampleTest, ForcedTokensComeFirstAndAreScoredWhenAsked) {
  for (bool score : {false, true}) {
    FakeModelRunner runner(Fake());
    EngineWork work = MakeWork(2, 3, 4);
    for (uint32_t token : {11, 12, 13}) work.lease.mutable_item()->add_forced_tokens(token);
    work.plan.set_score_forced(score);
    EngineOptions options;
    options.max_prefill_rows = 2;  // the context is cut within the forced tokens
    const EngineResults results = RunAll({work}, &runner, options);
    ASSERT_EQ(results.size(), 3u);
    const Rollout& rollout = results.begin()->second;
    ASSERT_EQ(rollout.spans_size(), 3);
    const TokenSpan& forced = rollout.spans(1);
    EXPECT_EQ(forced.kind(), TokenSpan::FORCED);
    EXPECT_THAT(forced.tokens(), ElementsAreArray({11, 12, 13}));
    EXPECT_EQ(rollout.completion().substr(0, 3), "lmn");
    ASSERT_EQ(forced.logprobs_size(), score ? 3 : 0);
    std::vector<uint32_t> history(work.lease.item().prompt_tokens().begin(),
                                  work.lease.item().prompt_tokens().end());
    for (int i = 0; i < 3; ++i) {
      TokenDraw draw;
      draw.forced = forced.tokens(i);
      if (score) {
        EXPECT_EQ(forced.logprobs(i), runner.Next(history, draw).logprob);
      }
      history.push_back(forced.tokens(i));
    }
    // The random stream counts from the start of the completion, forced tokens included.
    TokenDraw draw;
    draw.uniform = CounterRng(StreamKey(5, "p", 2, 0)).Uniform(3);
    EXPECT_EQ(rollout.spans(2).tokens(0), runner.Next(history, draw).token);
  }
}

TEST_P(LiveSampleTest, AStepLabelIsForcedBeforeEverySolutionStep) {
  const TableTokenizer tokenizer =
      TableTokenizer::OfLetters("abc\n");  // every fourth token ends a solution step
  const std::vector<uint32_t> label = {40, 41};
  std::vector<EngineResults> results;
  for (const auto& [max_batch, score] :
       std::vector<std::pair<int, bool>>{{1, false}, {8, false}, {8, true}}) {
    FakeModelRunner runner(Fake());
    EngineOptions options;
    options.max_batch = max_batch;
    Engine engine(&runner, &tokenizer, options, 7);
    EngineWork work = MakeWork(2, 4, 24);
    work.plan.set_score_forced(score);
    for (uint32_t token : label) work.plan.add_step_label_tokens(token);
    Admit(work, &engine);
    results.push_back(RunAll(&engine));
    for (const auto& [key, rollout] : results.back()) {
      std::vector<uint32_t> history;
      size_t at = 0, labels = 0;  // of the completion
      size_t due = label.size();  // tokens of a label that must come now
      for (const TokenSpan& span : rollout.spans()) {
        const bool sampled = span.kind() == TokenSpan::SAMPLED;
        const bool forced = span.kind() == TokenSpan::FORCED;
        const bool scored = sampled || (forced && score);
        ASSERT_EQ(span.logprobs_size(), scored ? span.tokens_size() : 0);
        for (int i = 0; i < span.tokens_size(); ++i) {
          const uint32_t token = span.tokens(i);
          if (forced) {
            ASSERT_GT(due, 0u);
            EXPECT_EQ(token, label[label.size() - due--]);
            ++labels;
            TokenDraw draw;
            draw.forced = token;
            if (score) {
              EXPECT_EQ(span.logprobs(i), runner.Next(history, draw).logprob);
            }
          } else if (sampled) {
            ASSERT_EQ(due, 0u) << "no label before a solution step";
            TokenDraw draw;
            draw.uniform = CounterRng(StreamKey(5, "p", 2, std::get<1>(key))).Uniform(at);
            EXPECT_EQ(token, runner.Next(history, draw).token);
            if (token % 4 == 3) due = label.size();
          }
          if (span.kind() != TokenSpan::PROMPT) ++at;
          history.push_back(token);
        }
      }
      EXPECT_GT(labels, 2 * label.size()) << "the sample has no second solution step";
      EXPECT_EQ(rollout.completion().substr(0, 2), "ab");
    }
  }
  ExpectEqual(results[0], results[1]);
}

TEST_P(LiveSampleTest, AnItemWithNothingToSampleIsOnlyScored) {
  FakeModelRunner runner(Fake());
  EngineWork work = MakeWork(2, 2, 0);
  work.lease.mutable_item()->add_forced_tokens(11);
  work.plan.set_score_forced(true);
  const EngineResults results = RunAll({work}, &runner);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results.begin()->second.finish(), FINISH_FORCED);
  ASSERT_EQ(results.begin()->second.spans_size(), 2);
  EXPECT_EQ(results.begin()->second.spans(1).logprobs_size(), 1);
  EXPECT_EQ(runner.rows_run(), work.lease.item().prompt_tokens_size());
}

TEST_P(LiveSampleTest, AStopStringCutsTheTextAndNotTheRecord) {
  FakeModelRunner runner(Fake());
  EngineWork work = MakeWork(4, 1, 12);
  const Rollout free = RunAll({work}, &runner).begin()->second;
  const std::string stop = free.completion().substr(5, 3);
  const size_t cut = free.completion().find(stop);
  work.plan.add_stop_strings(stop);
  const Rollout stopped = RunAll({work}, &runner).begin()->second;
  EXPECT_EQ(stopped.finish(), FINISH_STOP);
  EXPECT_EQ(stopped.completion(), free.completion().substr(0, cut));
  EXPECT_EQ(stopped.spans(1).tokens_size(), static_cast<int>(cut + 3));
}

TEST_P(LiveSampleTest, AStopIdEndsTheSampleAndStaysInTheRecord) {
  FakeModelRunner runner(Fake());
  EngineWork work = MakeWork(4, 1, 12);
  const Rollout free = RunAll({work}, &runner).begin()->second;
  work.plan.add_stop_token_ids(free.spans(1).tokens(6));
  const Rollout stopped = RunAll({work}, &runner).begin()->second;
  EXPECT_EQ(stopped.finish(), FINISH_STOP);
  const int length = stopped.spans(1).tokens_size();
  EXPECT_LE(length, 7);
  EXPECT_EQ(stopped.spans(1).tokens(length - 1), free.spans(1).tokens(6));
  EXPECT_EQ(stopped.completion(), free.completion().substr(0, length - 1));
}

TEST_P(LiveSampleTest, TheModelsLastPositionIsALengthLimit) {
  FakeModelRunner::Options options = Fake();
  options.max_positions = 12;
  FakeModelRunner runner(options);
  const EngineWork work = MakeWork(0, 1, 100);  // a prompt of 3 tokens
  const Rollout rollout = RunAll({work}, &runner).begin()->second;
  EXPECT_EQ(rollout.spans(1).tokens_size(), 9);
  EXPECT_EQ(rollout.finish(), FINISH_LENGTH);
}

TEST_P(LiveSampleTest, GreedyTakesTheLikeliestToken) {
  FakeModelRunner runner(Fake());
  EngineWork work = MakeWork(1, 2, 5);
  work.plan.mutable_sampling()->set_temperature(0);
  work.plan.mutable_sampling()->set_top_p(0.1);  // means nothing at temperature 0
  const EngineResults results = RunAll({work}, &runner);
  EXPECT_EQ(results.begin()->second.completion(), results.rbegin()->second.completion());
}

INSTANTIATE_TEST_SUITE_P(, LiveSampleTest, testing::Values(0, 1), [](const auto& info) {
  return info.param == 0 ? std::string("Finished") : std::string("Ahead");
});

}  // namespace
}  // namespace reckon
