#include "learner/algorithm/policy_gradient/policy_gradient.h"

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/checkpoint.h"
#include "tests/support/learner_harness.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

class PolicyGradientTest : public LearnerHarness {};

// Answer's groups of even number are all right, so that every other one teaches something.
TEST_F(PolicyGradientTest, AStepSamplesOnUntilEnoughGroupsDiffer) {
  WriteConfig("online", kOnlineConfig);
  const std::vector<std::string> dapo = {"stage[0].ppo.filter.groups=true",
                                         "stage[0].ppo.advantage.estimator=GRPO",
                                         "stage[0].ppo.filter.max_num_gen_batches=3"};
  absl::Status run = Run(Options("a", dapo, "online"));
  ASSERT_TRUE(run.ok()) << run;
  int steps = 0;
  for (const nlohmann::json& line : Metrics("a")) {
    if (!line.contains("num_gen_batches")) continue;
    EXPECT_EQ(line["num_gen_batches"], 2);
    EXPECT_EQ(line["num_samples"], 12);
    EXPECT_EQ(line["num_samples_learned"], 6);
    EXPECT_EQ(line["frac_reward_zero_std"], 0.5);
    steps += 1;
  }
  EXPECT_EQ(steps, 4);
  EXPECT_EQ(coordinator_.plans().at("ppo_1").groups_per_batch(), 2u);
}

// Of the two problems of a step, Answer's second one teaches something.
TEST_F(PolicyGradientTest, ReplayKnowsWhatEachStepTaughtAndAsksNewProblemsInTheirOrder) {
  WriteConfig("online", kOnlineConfig);
  const absl::Status run = Run(Options("a",
                                       {"stage[0].ppo.replay.ratio=1e-6", "stage[0].ppo.kl.coef=0",
                                        "stage[0].ppo.advantage.estimator=DR_GRPO"},
                                       "online"));
  ASSERT_TRUE(run.ok()) << run;
  const auto saved = OpenNewestCheckpoint(root_ + "/a");
  ASSERT_TRUE(saved.ok() && saved->has_value()) << saved.status();
  const ReplayState& replay = (*saved)->cursor().replay();
  EXPECT_EQ(replay.fresh(), 8);
  EXPECT_EQ(replay.seen_size(), 8);  // of ten problems, none was asked twice
  std::map<int64_t, int> taught;     // by step
  for (const ReplayState::Seen& seen : replay.seen()) taught[seen.step()] += seen.score() > 0;
  EXPECT_EQ(taught, (std::map<int64_t, int>{{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
}

TEST_F(PolicyGradientTest, HoweverFarAheadAGroupHasTheGivenStepsOfTheStepThatLearnsFromIt) {
  WriteConfig("online", kOnlineConfig);
  std::map<uint64_t, int> given[2];  // tokens, by group
  for (const int ahead : {0, 1}) {
    Cluster cluster([&, ahead](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
      Rollout rollout = Answer(spec, lease, sample);
      const auto& forced = lease.item().forced_tokens();
      if (spec.name() != "ppo_1" || forced.empty()) return rollout;
      given[ahead][lease.item().group()] = forced.size();
      *rollout.add_spans() = rollout.spans(1);
      TokenSpan span;
      span.set_kind(TokenSpan::FORCED);
      *span.mutable_tokens() = forced;
      *rollout.mutable_spans(1) = span;
      return rollout;
    });
    const absl::Status run =
        cluster.Run(Options(absl::StrCat("ahead_", ahead),
                            {"stage[0].ppo.backtracking.steps=4", "stage[0].ppo.eval_every=100",
                             "data.builtin.min_steps=3", "data.builtin.max_steps=3",
                             absl::StrCat("stage[0].ppo.max_staleness=", ahead)},
                            "online"),
                    stop_.get_token());
    ASSERT_TRUE(run.ok()) << run;
  }
  EXPECT_EQ(given[0].size(), 6u);  // of three steps, two groups each; the fourth gives nothing
  EXPECT_EQ(given[1], given[0]);
}

// As a prompted base model answers: its next question ends the sample.
Rollout AskNext(const PlanSpec& spec, const Lease& lease, uint32_t sample) {
  Rollout rollout = Answer(spec, lease, sample);
  TokenSpan* sampled = rollout.mutable_spans(1);
  sampled->mutable_tokens()->RemoveLast();  // the end
  for (unsigned char c : std::string("\nQuestion:")) {
    sampled->add_tokens(kTinyFirstByte + c);
    sampled->add_logprobs(-1);
  }
  sampled->mutable_logprobs()->RemoveLast();
  return rollout;
}

TEST_F(PolicyGradientTest, AnOnlineStageLearnsAnEndInThePlaceOfAStopString) {
  WriteConfig("online", kOnlineConfig);
  std::vector<double> lengths[2];
  for (const bool asks : {false, true}) {
    Cluster cluster(asks ? AskNext : Answer);
    const std::string name = absl::StrCat("asks_", asks);
    const absl::Status run =
        cluster.Run(Options(name, {"stage[0].ppo.steps=1"}, "online"), stop_.get_token());
    ASSERT_TRUE(run.ok()) << run;
    for (const nlohmann::json& line : Metrics(name)) {
      if (!line.contains("actor/pg_loss")) continue;
      lengths[asks].push_back(line["response_length/mean"]);
      EXPECT_TRUE(line["actor/pg_loss"].is_number());
    }
  }
  EXPECT_EQ(lengths[0].size(), 1u);
  EXPECT_EQ(lengths[1], lengths[0]);  // the end token is in the place of the whole string
}

}  // namespace
}  // namespace reckon
