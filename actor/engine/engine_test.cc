#include "actor/engine/engine.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

using Results = std::map<std::tuple<uint64_t, uint32_t>, Rollout>;

struct Work {
  Lease lease;
  PlanSpec plan;
};

Work MakeWork(uint64_t group, uint32_t samples, uint32_t max_new) {
  Work work;
  work.lease.set_id(100 + group);
  work.lease.set_plan("p");
  work.lease.set_weight_version(7);
  work.lease.mutable_item()->set_group(group);
  for (uint64_t i = 0; i < 3 + group % 6; ++i) {
    work.lease.mutable_item()->add_prompt_tokens((group * 31 + i * 7) % 200);
  }
  for (uint32_t i = 0; i < samples; ++i) work.lease.add_samples(i);
  work.plan.set_name("p");
  work.plan.set_samples_per_group(samples);
  SamplingParams* p = work.plan.mutable_sampling();
  p->set_temperature(1);
  p->set_top_p(1);
  p->set_max_new_tokens(max_new);
  work.plan.set_seed(5);
  return work;
}

void Admit(const Work& work, Engine* engine) {
  const absl::Status status =
      engine->Admit(work.lease, std::make_shared<const PlanSpec>(work.plan));
  ASSERT_TRUE(status.ok()) << status;
}

Results RunAll(Engine* engine) {
  Results results;
  for (int passes = 0; !engine->idle(); ++passes) {
    EXPECT_LT(passes, 10000) << "the engine does not finish";
    if (passes >= 10000) break;
    auto finished = engine->RunPass();
    EXPECT_TRUE(finished.ok()) << finished.status();
    if (!finished.ok()) break;
    for (const FinishedSample& f : *finished) {
      const RolloutKey& key = f.rollout.key();
      EXPECT_TRUE(results.emplace(std::tuple(key.group(), key.sample()), f.rollout).second);
    }
  }
  return results;
}

Results RunAll(const std::vector<Work>& works, FakeModelRunner* runner,
               EngineOptions options = {}) {
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(runner, &tokenizer, options, 7);
  for (const Work& work : works) Admit(work, &engine);
  Results results = RunAll(&engine);
  EXPECT_EQ(runner->sequences(), 0u);
  EXPECT_EQ(runner->free_pages(), runner->total_pages());
  return results;
}

void ExpectEqual(const Results& a, const Results& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [key, rollout] : a) {
    ASSERT_TRUE(b.count(key));
    EXPECT_EQ(rollout.SerializeAsString(), b.at(key).SerializeAsString());
  }
}

// With passes that are finished at once, and with passes that run ahead of their results.
class EngineTest : public testing::TestWithParam<int64_t> {
 protected:
  static FakeModelRunner::Options Fake() { return {.decodes_ahead = GetParam()}; }
};

TEST_P(EngineTest, TheLikeliestTokensAreReportedWhereTheyAreAskedFor) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  const Work asks = MakeWork(3, 1, 9), other = MakeWork(4, 1, 9);
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

TEST_P(EngineTest, ASampleIsWhatTheModelDrawsTokenByToken) {
  FakeModelRunner runner(Fake());
  const Work work = MakeWork(3, 2, 9);
  const Results results = RunAll({work}, &runner);
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

TEST_P(EngineTest, ResultsDoNotDependOnBatchSizeOrderMemoryOrTheSplitOfLeases) {
  std::vector<Work> works;
  for (uint64_t group = 0; group < 12; ++group) {
    works.push_back(MakeWork(group, 1 + group % 5, 4 + group % 9));
    for (uint32_t id = 0; id < 20; ++id) {
      works.back().plan.add_stop_token_ids(id);
    }
  }
  FakeModelRunner wide({});
  const Results expected = RunAll(works, &wide);
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

  std::vector<Work> split;
  for (const Work& work : works) {
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
  const Work work = MakeWork(5, 16, 4);  // a prompt of 8 tokens
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

TEST_P(EngineTest, ForcedTokensComeFirstAndAreScoredWhenAsked) {
  for (bool score : {false, true}) {
    FakeModelRunner runner(Fake());
    Work work = MakeWork(2, 3, 4);
    for (uint32_t token : {11, 12, 13}) work.lease.mutable_item()->add_forced_tokens(token);
    work.plan.set_score_forced(score);
    EngineOptions options;
    options.max_prefill_rows = 2;  // the context is cut within the forced tokens
    const Results results = RunAll({work}, &runner, options);
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

TEST_P(EngineTest, AStepLabelIsForcedBeforeEverySolutionStep) {
  const TableTokenizer tokenizer =
      TableTokenizer::OfLetters("abc\n");  // every fourth token ends a solution step
  const std::vector<uint32_t> label = {40, 41};
  std::vector<Results> results;
  for (const auto& [max_batch, score] :
       std::vector<std::pair<int, bool>>{{1, false}, {8, false}, {8, true}}) {
    FakeModelRunner runner(Fake());
    EngineOptions options;
    options.max_batch = max_batch;
    Engine engine(&runner, &tokenizer, options, 7);
    Work work = MakeWork(2, 4, 24);
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

TEST_P(EngineTest, AnItemWithNothingToSampleIsOnlyScored) {
  FakeModelRunner runner(Fake());
  Work work = MakeWork(2, 2, 0);
  work.lease.mutable_item()->add_forced_tokens(11);
  work.plan.set_score_forced(true);
  const Results results = RunAll({work}, &runner);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results.begin()->second.finish(), FINISH_FORCED);
  ASSERT_EQ(results.begin()->second.spans_size(), 2);
  EXPECT_EQ(results.begin()->second.spans(1).logprobs_size(), 1);
  EXPECT_EQ(runner.rows_run(), work.lease.item().prompt_tokens_size());
}

TEST_P(EngineTest, AStopStringCutsTheTextAndNotTheRecord) {
  FakeModelRunner runner(Fake());
  Work work = MakeWork(4, 1, 12);
  const Rollout free = RunAll({work}, &runner).begin()->second;
  const std::string stop = free.completion().substr(5, 3);
  const size_t cut = free.completion().find(stop);
  work.plan.add_stop_strings(stop);
  const Rollout stopped = RunAll({work}, &runner).begin()->second;
  EXPECT_EQ(stopped.finish(), FINISH_STOP);
  EXPECT_EQ(stopped.completion(), free.completion().substr(0, cut));
  EXPECT_EQ(stopped.spans(1).tokens_size(), static_cast<int>(cut + 3));
}

TEST_P(EngineTest, AStopIdEndsTheSampleAndStaysInTheRecord) {
  FakeModelRunner runner(Fake());
  Work work = MakeWork(4, 1, 12);
  const Rollout free = RunAll({work}, &runner).begin()->second;
  work.plan.add_stop_token_ids(free.spans(1).tokens(6));
  const Rollout stopped = RunAll({work}, &runner).begin()->second;
  EXPECT_EQ(stopped.finish(), FINISH_STOP);
  const int length = stopped.spans(1).tokens_size();
  EXPECT_LE(length, 7);
  EXPECT_EQ(stopped.spans(1).tokens(length - 1), free.spans(1).tokens(6));
  EXPECT_EQ(stopped.completion(), free.completion().substr(0, length - 1));
}

TEST_P(EngineTest, TheModelsLastPositionIsALengthLimit) {
  FakeModelRunner::Options options = Fake();
  options.max_positions = 12;
  FakeModelRunner runner(options);
  const Work work = MakeWork(0, 1, 100);  // a prompt of 3 tokens
  const Rollout rollout = RunAll({work}, &runner).begin()->second;
  EXPECT_EQ(rollout.spans(1).tokens_size(), 9);
  EXPECT_EQ(rollout.finish(), FINISH_LENGTH);
}

TEST_P(EngineTest, GreedyTakesTheLikeliestToken) {
  FakeModelRunner runner(Fake());
  Work work = MakeWork(1, 2, 5);
  work.plan.mutable_sampling()->set_temperature(0);
  work.plan.mutable_sampling()->set_top_p(0.1);  // means nothing at temperature 0
  const Results results = RunAll({work}, &runner);
  EXPECT_EQ(results.begin()->second.completion(), results.rbegin()->second.completion());
}

TEST_P(EngineTest, WorkThatCanNeverFitIsRefusedWithTheReason) {
  FakeModelRunner::Options options = Fake();
  options.max_positions = 64;
  options.total_pages = 8;
  FakeModelRunner runner(options);
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  auto refusal = [&](const Work& work) {
    absl::Status status = engine.Admit(work.lease, std::make_shared<const PlanSpec>(work.plan));
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(MakeWork(0, 1, 60)), HasSubstr("kv_cache_mib"));

  Work empty = MakeWork(0, 1, 4);
  empty.lease.mutable_item()->clear_prompt_tokens();
  EXPECT_THAT(refusal(empty), HasSubstr("no tokens"));

  Work wide = MakeWork(0, 1, 4);
  wide.lease.mutable_item()->add_prompt_tokens(259);
  EXPECT_THAT(refusal(wide), HasSubstr("token id 259"));

  Work longer = MakeWork(0, 1, 4);
  for (int i = 0; i < 64; ++i) longer.lease.mutable_item()->add_prompt_tokens(1);
  EXPECT_THAT(refusal(longer), HasSubstr("64 positions"));

  Work hot = MakeWork(0, 1, 4);
  hot.plan.mutable_sampling()->set_temperature(-1);
  EXPECT_THAT(refusal(hot), HasSubstr("temperature"));

  Work narrow = MakeWork(0, 1, 4);
  narrow.plan.mutable_sampling()->set_top_p(0);
  EXPECT_THAT(refusal(narrow), HasSubstr("top_p"));

  EXPECT_THAT(refusal(MakeWork(0, 1, 0)), HasSubstr("nothing to do"));
  EXPECT_TRUE(engine.idle());
}

TEST_P(EngineTest, ADroppedLeaseDoesNotChangeTheOthers) {
  const Work stays = MakeWork(1, 4, 10), goes = MakeWork(2, 6, 10);
  FakeModelRunner runner(Fake());
  const Results expected = RunAll({stays}, &runner);
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
    std::vector<Work> works;
    size_t samples = 0;
    const TableTokenizer tokenizer = TableTokenizer::OfLetters();
    Engine probe(&runner, &tokenizer, engine, 7);
    for (uint64_t group = 0; group < 10; ++group) {
      const uint32_t number = 1 + rng.Below(7, n++);
      const Work work = MakeWork(group, number, 1 + rng.Below(20, n++));
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
    const Work work = MakeWork(3, 5, 9);  // two of five samples wait, after the change, for a slot
    Admit(work, &engine);
    for (int pass = 0; pass < 4; ++pass) ASSERT_TRUE(engine.RunPass().ok());
    EXPECT_TRUE(engine.MayChangeVersion());
    const int64_t rows = newer.rows_run();
    ASSERT_TRUE(engine.ChangeRunner(&newer, 8, recompute).ok());
    // The shared part of the prompt once, and for each of three its last token and three more.
    EXPECT_EQ(newer.rows_run() - rows,
              recompute ? work.lease.item().prompt_tokens_size() - 1 + 3 * 4 : 0);
    const Results results = RunAll(&engine);
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

TEST_P(EngineTest, SamplesOfAPinnedVersionAreNotContinuedByAnother) {
  FakeModelRunner runner(Fake());
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(&runner, &tokenizer, {}, 7);
  EXPECT_TRUE(engine.MayChangeVersion());
  Work work = MakeWork(3, 1, 9);
  work.plan.set_pinned_version(7);
  Admit(work, &engine);
  EXPECT_FALSE(engine.MayChangeVersion()) << "it waits";
  ASSERT_TRUE(engine.RunPass().ok());
  EXPECT_FALSE(engine.MayChangeVersion()) << "it is in flight";
}

// Every way in which a sample ends or turns, each found out a pass late.
TEST_P(EngineTest, WhetherPassesRunAheadChangesNothing) {
  const TableTokenizer tokenizer = TableTokenizer::OfLetters("abcdefghijklm\n");
  std::vector<Work> works;
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
    for (const Work& work : works) Admit(work, &engine);
    Results results = RunAll(&engine);
    EXPECT_EQ(engine.stats().finished_samples, static_cast<int64_t>(results.size()));
    return results;
  };
  FakeModelRunner each({});
  const Results expected = run(&each, {});
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
