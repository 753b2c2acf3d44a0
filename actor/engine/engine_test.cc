#include "actor/engine/engine.h"

#include <algorithm>
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

using ::testing::HasSubstr;

// With passes that are finished at once, and with passes that run ahead of their results.
class EngineTest : public testing::TestWithParam<int64_t> {
 protected:
  static FakeModelRunner::Options Fake() { return {.decodes_ahead = GetParam()}; }
};

TEST_P(EngineTest, ResultsDoNotDependOnBatchSizeOrderMemoryOrTheSplitOfLeases) {
  std::vector<EngineWork> works;
  for (uint64_t group = 0; group < 12; ++group) {
    works.push_back(MakeWork(group, 1 + group % 5, 4 + group % 9));
    for (uint32_t id = 0; id < 20; ++id) {
      works.back().plan.add_stop_token_ids(id);
    }
  }
  FakeModelRunner wide({});
  const EngineResults expected = RunAll(works, &wide);
  EXPECT_EQ(expected.size(), 33u);

  for (int64_t batch : {1, 3, 8}) {
    for (int64_t rows : {1, 5, 64}) {
      std::reverse(works.begin(), works.end());
      FakeModelRunner::Options options = Fake();
      options.total_pages = 3 + 4 * batch;
      FakeModelRunner runner(options);
      EngineOptions engine;
      engine.max_batch = batch;
      engine.max_prefill_rows = rows;
      ExpectEqual(expected, RunAll(works, &runner, engine));
      EXPECT_LE(runner.widest_pass(), std::max<size_t>(batch, rows));
    }
  }

  std::vector<EngineWork> split;
  for (const EngineWork& work : works) {
    for (uint32_t sample : work.lease.samples()) {
      split.push_back(work);
      split.back().lease.clear_samples();
      split.back().lease.add_samples(sample);
    }
  }
  FakeModelRunner runner(Fake());
  ExpectEqual(expected, RunAll(split, &runner));
}

TEST_P(EngineTest, APromptIsRunOncePerGroup) {
  FakeModelRunner runner(Fake());
  const EngineWork work = MakeWork(5, 16, 4);  // a prompt of 8 tokens
  RunAll({work}, &runner);
  EXPECT_EQ(runner.rows_run(), 7 + 16 * 4);
}

TEST_P(EngineTest, TheSlotOfAFinishedSampleIsTakenAtOnce) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  EngineOptions options;
  options.max_batch = 2;
  Engine engine(&runner, &tokenizer, options, 7);
  Admit(MakeWork(0, 1, 2), &engine);
  Admit(MakeWork(1, 3, 5), &engine);
  EXPECT_EQ(engine.waiting(), 4);
  int64_t tokens = 0;
  for (int64_t ahead = 0; ahead < GetParam(); ++ahead) ASSERT_TRUE(engine.RunPass().ok());
  for (int pass = 0; pass < 7; ++pass) {
    ASSERT_TRUE(engine.RunPass().ok());
    // Until the last two samples, both slots draw in every pass; where passes run ahead, the next
    // sample starts when the end of the one before is known.
    if (pass < (GetParam() == 0 ? 6 : 2)) {
      EXPECT_EQ(engine.stats().sampled_tokens - tokens, 2) << pass;
    }
    tokens = engine.stats().sampled_tokens;
  }
}

TEST_P(EngineTest, WorkThatCanNeverFitIsRefusedWithTheReason) {
  FakeModelRunner::Options options = Fake();
  options.max_positions = 64;
  options.total_pages = 8;
  FakeModelRunner runner(options);
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  auto refusal = [&](const EngineWork& work) {
    absl::Status status = engine.Admit(work.lease, std::make_shared<const PlanSpec>(work.plan));
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(MakeWork(0, 1, 60)), HasSubstr("kv_cache_mib"));

  EngineWork empty = MakeWork(0, 1, 4);
  empty.lease.mutable_item()->clear_prompt_tokens();
  EXPECT_THAT(refusal(empty), HasSubstr("no tokens"));

  EngineWork wide = MakeWork(0, 1, 4);
  wide.lease.mutable_item()->add_prompt_tokens(259);
  EXPECT_THAT(refusal(wide), HasSubstr("token id 259"));

  EngineWork longer = MakeWork(0, 1, 4);
  for (int i = 0; i < 64; ++i) longer.lease.mutable_item()->add_prompt_tokens(1);
  EXPECT_THAT(refusal(longer), HasSubstr("64 positions"));

  EngineWork hot = MakeWork(0, 1, 4);
  hot.plan.mutable_sampling()->set_temperature(-1);
  EXPECT_THAT(refusal(hot), HasSubstr("temperature"));

  EngineWork narrow = MakeWork(0, 1, 4);
  narrow.plan.mutable_sampling()->set_top_p(0);
  EXPECT_THAT(refusal(narrow), HasSubstr("top_p"));

  EXPECT_THAT(refusal(MakeWork(0, 1, 0)), HasSubstr("nothing to do"));
  EXPECT_TRUE(engine.idle());
}

TEST_P(EngineTest, ADroppedLeaseDoesNotChangeTheOthers) {
  const EngineWork stays = MakeWork(1, 4, 10), goes = MakeWork(2, 6, 10);
  FakeModelRunner runner(Fake());
  const EngineResults expected = RunAll({stays}, &runner);
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  EngineOptions options;
  options.max_batch = 6;
  Engine engine(&runner, &tokenizer, options, 7);
  Admit(stays, &engine);
  Admit(goes, &engine);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine.RunPass().ok());
  engine.Drop(goes.lease.id());
  ExpectEqual(expected, RunAll(&engine));
  EXPECT_EQ(runner.sequences(), 0u);
  EXPECT_EQ(runner.free_pages(), runner.total_pages());
}

TEST_P(EngineTest, AFailingPassIsReportedAndCleared) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  Admit(MakeWork(1, 4, 10), &engine);
  ASSERT_TRUE(engine.RunPass().ok());
  runner.FailNextPass(absl::InternalError("no memory"));
  absl::Status failed;
  for (int64_t pass = 0; pass <= GetParam(); ++pass) failed = engine.RunPass().status();
  EXPECT_EQ(failed.message(), "no memory");
  engine.Clear();
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(runner.free_pages(), runner.total_pages());
  Admit(MakeWork(1, 4, 10), &engine);
  EXPECT_EQ(RunAll(&engine).size(), 4u);
}

TEST_P(EngineTest, RandomWorkNeverRunsOutOfPagesNorLeaksThem) {
  const CounterRng rng(1);
  uint64_t n = 0;
  for (int round = 0; round < 30; ++round) {
    FakeModelRunner::Options options = Fake();
    options.total_pages = 12 + rng.Below(30, n++);
    options.page_tokens = 1 + rng.Below(8, n++);
    FakeModelRunner runner(options);
    EngineOptions engine;
    engine.max_batch = 1 + rng.Below(10, n++);
    engine.max_prefill_rows = 1 + rng.Below(20, n++);
    std::vector<EngineWork> works;
    size_t samples = 0;
    const TableTokenizer tokenizer = TableTokenizer::OfLetters();
    Engine probe(&runner, &tokenizer, engine, 7);
    for (uint64_t group = 0; group < 10; ++group) {
      const uint32_t number = 1 + rng.Below(7, n++);
      const EngineWork work = MakeWork(group, number, 1 + rng.Below(20, n++));
      if (!probe.Admit(work.lease, std::make_shared<const PlanSpec>(work.plan)).ok()) continue;
      samples += work.lease.samples_size();
      works.push_back(work);
    }
    probe.Clear();
    EXPECT_EQ(RunAll(works, &runner, engine).size(), samples);
  }
}

// The tokens of a rollout's sampled spans with the version of each.
std::vector<std::pair<uint32_t, uint64_t>> VersionedTokens(const Rollout& rollout) {
  std::vector<std::pair<uint32_t, uint64_t>> out;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::SAMPLED) continue;
    for (uint32_t token : span.tokens()) out.emplace_back(token, span.weight_version());
  }
  return out;
}

TEST_P(EngineTest, ANewerVersionContinuesWhatIsInFlight) {
  for (const bool recompute : {false, true}) {
    FakeModelRunner older({.total_pages = 60, .salt = 1, .decodes_ahead = GetParam()});
    FakeModelRunner newer({.total_pages = 60, .salt = 2, .decodes_ahead = GetParam()},
                          older.cache());
    const TableTokenizer tokenizer = TableTokenizer::OfLetters();
    EngineOptions options;
    options.max_batch = 3;
    options.max_prefill_rows = 4;
    Engine engine(&older, &tokenizer, options, 7);
    const EngineWork work =
        MakeWork(3, 5, 9);  // two of five samples wait, after the change, for a slot
    Admit(work, &engine);
    for (int pass = 0; pass < 4; ++pass) ASSERT_TRUE(engine.RunPass().ok());
    EXPECT_TRUE(engine.MayChangeVersion());
    const int64_t rows = newer.rows_run();
    ASSERT_TRUE(engine.FinishStarted().ok());
    ASSERT_TRUE(engine.ChangeRunner(&newer, 8, recompute).ok());
    // The shared part of the prompt once, and for each of three its last token and three more.
    EXPECT_EQ(newer.rows_run() - rows,
              recompute ? work.lease.item().prompt_tokens_size() - 1 + 3 * 4 : 0);
    const EngineResults results = RunAll(&engine);
    ASSERT_EQ(results.size(), 5u);
    for (const auto& [key, rollout] : results) {
      std::vector<uint32_t> history(work.lease.item().prompt_tokens().begin(),
                                    work.lease.item().prompt_tokens().end());
      const uint32_t sample = std::get<1>(key);
      const CounterRng rng(StreamKey(5, "p", 3, sample));
      const auto tokens = VersionedTokens(rollout);
      ASSERT_EQ(tokens.size(), 9u);
      for (size_t i = 0; i < tokens.size(); ++i) {
        EXPECT_EQ(tokens[i].second, sample < 3 && i < 4 ? 7u : 8u) << sample << " " << i;
        TokenDraw draw;
        draw.uniform = rng.Uniform(i);
        const FakeModelRunner& drew = tokens[i].second == 7 ? older : newer;
        EXPECT_EQ(tokens[i].first, drew.Next(history, draw).token) << sample << " " << i;
        history.push_back(tokens[i].first);
      }
    }
    EXPECT_EQ(newer.sequences(), 0u);
    EXPECT_EQ(newer.free_pages(), newer.total_pages());
  }
}

// The samples have the whole cache, whose pages the context ends within, on the border of, or does
// not fill.
TEST_P(EngineTest, RecomputingNeedsThePagesThatThereAre) {
  for (const int64_t page : {2, 3, 5, 16}) {
    for (uint64_t group = 0; group < 6; ++group) {
      const EngineWork work = MakeWork(group, 3, 8);
      const int64_t context = work.lease.item().prompt_tokens_size() - 1;
      FakeModelRunner::Options options = Fake();
      options.page_tokens = page;
      const FakeModelRunner counts(options);
      const int64_t tokens = context + 8;
      // Until they have sequences of their own, the context takes a page beside theirs.
      options.total_pages = counts.PagesFor(0, context) + 3 * counts.PagesFor(context, tokens);
      FakeModelRunner older(options);
      options.salt = 2;
      FakeModelRunner newer(options, older.cache());
      const TableTokenizer tokenizer = TableTokenizer::OfLetters();
      Engine engine(&older, &tokenizer, {}, 7);
      Admit(work, &engine);
      for (int pass = 0; pass < 2; ++pass) ASSERT_TRUE(engine.RunPass().ok());
      // Another sequence takes what is left.
      const int64_t left = older.free_pages();
      const auto other = older.Add(left * page);
      ASSERT_TRUE(other.ok());
      ASSERT_EQ(older.free_pages(), 0);
      ASSERT_TRUE(engine.FinishStarted().ok());
      const absl::Status changed = engine.ChangeRunner(&newer, 8, /*recompute=*/true);
      ASSERT_TRUE(changed.ok()) << changed << ": pages of " << page << ", context of " << context;
      EXPECT_EQ(newer.free_pages(), 0);
      EXPECT_EQ(RunAll(&engine).size(), 3u);
      newer.Remove(*other);
      EXPECT_EQ(newer.free_pages(), newer.total_pages());
    }
  }
}

TEST_P(EngineTest, SamplesOfAPinnedVersionAreNotContinuedByAnother) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  EXPECT_TRUE(engine.MayChangeVersion());
  EngineWork pinned = MakeWork(3, 1, 9), forced = MakeWork(4, 1, 9);
  pinned.plan.set_pinned_version(7);
  forced.plan.set_score_forced(true);
  for (const EngineWork& work : {pinned, forced}) {
    Admit(work, &engine);
    EXPECT_FALSE(engine.MayChangeVersion()) << "it waits";
    ASSERT_TRUE(engine.RunPass().ok());
    EXPECT_FALSE(engine.MayChangeVersion()) << "it is in flight";
    engine.Clear();
    EXPECT_TRUE(engine.MayChangeVersion());
  }
}

// Every way in which a sample ends or turns, each found out a pass late.
TEST_P(EngineTest, WhetherPassesRunAheadChangesNothing) {
  const TableTokenizer tokenizer = TableTokenizer::OfLetters("abcdefghijklm\n");
  std::vector<EngineWork> works;
  for (uint64_t group = 0; group < 16; ++group) {
    works.push_back(MakeWork(group, 1 + group % 4, 1 + group * 3 % 11));
    PlanSpec& plan = works.back().plan;
    for (uint32_t id = 0; id < 60 && group % 2 == 0; ++id) plan.add_stop_token_ids(4 * id);
    if (group % 3 == 0) plan.add_stop_strings(group % 2 == 0 ? "ab" : "c");
    if (group % 4 == 1) plan.mutable_sampling()->set_temperature(0);
    if (group % 5 < 2) {
      for (uint32_t i = 0; i < 1 + group % 3; ++i) plan.add_step_label_tokens(200 + i);
    }
    plan.set_score_forced(group % 5 == 1);
  }
  const auto run = [&](FakeModelRunner* runner, EngineOptions options) {
    Engine engine(runner, &tokenizer, options, 7);
    for (const EngineWork& work : works) Admit(work, &engine);
    EngineResults results = RunAll(&engine);
    EXPECT_EQ(engine.stats().finished_samples, static_cast<int64_t>(results.size()));
    return results;
  };
  FakeModelRunner each({});
  const EngineResults expected = run(&each, {});
  int stopped = 0;
  for (const auto& [key, rollout] : expected) stopped += rollout.finish() == FINISH_STOP ? 1 : 0;
  EXPECT_GT(stopped, 3);
  EXPECT_GT(static_cast<int>(expected.size()) - stopped, 10);
  for (const int64_t batch : {1, 4, 64}) {
    FakeModelRunner runner(Fake());
    ExpectEqual(expected, run(&runner, {.max_batch = batch}));
    EXPECT_EQ(runner.sequences(), 0u);
  }
}

// A pass ahead knows where a sample is full, so it has no row beyond that.
TEST_P(EngineTest, NoRowBeyondTheLengthLimit) {
  FakeModelRunner runner(Fake());
  RunAll({MakeWork(0, 3, 5)}, &runner);
  EXPECT_EQ(runner.rows_run(), 2 + 3 * 5);
}

TEST_P(EngineTest, WhatIsUnderWayCanBeLeft) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  {
    Engine engine(&runner, &tokenizer, {}, 7);
    Admit(MakeWork(1, 4, 10), &engine);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine.RunPass().ok());
  }
  EXPECT_EQ(runner.sequences(), 0u);
  EXPECT_EQ(RunAll({MakeWork(1, 4, 10)}, &runner).size(), 4u);
}

INSTANTIATE_TEST_SUITE_P(, EngineTest, testing::Values(0, 1), [](const auto& info) {
  return info.param == 0 ? std::string("Finished") : std::string("Ahead");
});

}  // namespace
}  // namespace reckon
