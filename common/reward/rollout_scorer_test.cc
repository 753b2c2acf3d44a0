#include "common/reward/rollout_scorer.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

RewardSpec Spec(const std::string& name, RewardSpec::Kind kind, double weight) {
  RewardSpec spec;
  spec.set_name(name);
  spec.set_kind(kind);
  spec.set_weight(weight);
  return spec;
}

// A reward of the user's own, as a script of the shell that reads requests and writes replies.
RewardSpec Own(const std::string& name, const std::string& script) {
  RewardSpec spec = Spec(name, RewardSpec::PROCESS, 1);
  spec.set_command(absl::StrCat("sh -c '", script, "'"));
  return spec;
}
// Replies to every request, of which all have the id "/0/0", with these fields.
std::string Replying(const std::string& fields) {
  return absl::StrCat("while read -r line; do printf %s\\\\n \"{\\\"id\\\":\\\"/0/0\\\",", fields,
                      "}\"; done");
}

// Every token is one letter, except token 0, which has no text.
TableTokenizer Letters() {
  std::vector<std::string> texts(256, "x");
  texts[0].clear();
  return TableTokenizer(std::move(texts));
}

ScoringJob Job(std::vector<RewardSpec> specs, const std::string& completion,
               FinishReason finish = FINISH_STOP, const std::string& solution = "") {
  auto plan = std::make_shared<PlanSpec>();
  for (RewardSpec& spec : specs) *plan->add_rewards() = std::move(spec);
  auto item = std::make_shared<WorkItem>();
  item->mutable_reference()->set_answer("18");
  item->mutable_reference()->set_solution(solution);
  ScoringJob job;
  job.plan = plan;
  job.item = item;
  job.rollout.set_finish(finish);
  job.rollout.set_completion(completion);
  return job;
}

class RolloutScorerTest : public testing::Test {
 protected:
  // As an actor that was started for the commands of this job.
  ScoringJob Score(ScoringJob job) {
    std::vector<std::string> commands;
    for (const RewardSpec& spec : job.plan->rewards()) commands.push_back(spec.command());
    RolloutScorer scorer({.rewarder = &verifier_, .commands = commands});
    return ScoreBy(scorer, std::move(job));
  }

  static ScoringJob ScoreBy(RolloutScorer& scorer, ScoringJob job) {
    scorer.Add(std::move(job));
    EXPECT_EQ(scorer.pending(), 1);
    std::vector<ScoringJob> scored;
    EXPECT_TRUE(Await([&] { return !(scored = scorer.TakeScored()).empty(); }));
    EXPECT_EQ(scorer.pending(), 0);
    return std::move(scored.front());
  }

  const Verifier verifier_;
};

TEST_F(RolloutScorerTest, SumsTheWeightedList) {
  const ScoringJob job = Score(Job({Spec("strict", RewardSpec::EXACT_MATCH_STRICT, 1),
                                    Spec("flexible", RewardSpec::EXACT_MATCH_FLEXIBLE, 0.25)},
                                   "so she has 18"));
  ASSERT_TRUE(job.status.ok()) << job.status;
  ASSERT_EQ(job.rollout.rewards_size(), 2);
  EXPECT_EQ(job.rollout.rewards(0).name(), "strict");
  EXPECT_EQ(job.rollout.rewards(0).verdict(), UNPARSABLE);
  EXPECT_EQ(job.rollout.rewards(1).verdict(), CORRECT);
  EXPECT_DOUBLE_EQ(job.rollout.reward(), 0.25);
}

TEST_F(RolloutScorerTest, AddsRewardsOfTheUsersOwnInTheOrderOfThePlan) {
  RewardSpec half = Own("half", Replying("\\\"value\\\":0.5"));
  half.set_weight(2);
  const ScoringJob job =
      Score(Job({half, Spec("flexible", RewardSpec::EXACT_MATCH_FLEXIBLE, 1),
                 Own("other", Replying("\\\"value\\\":0.125,\\\"verdict\\\":\\\"unparsable\\\""))},
                "18"));
  ASSERT_TRUE(job.status.ok()) << job.status;
  ASSERT_EQ(job.rollout.rewards_size(), 3);
  EXPECT_EQ(job.rollout.rewards(0).name(), "half");
  EXPECT_EQ(job.rollout.rewards(1).verdict(), CORRECT);
  EXPECT_EQ(job.rollout.rewards(2).verdict(), UNPARSABLE);
  EXPECT_DOUBLE_EQ(job.rollout.reward(), 2 * 0.5 + 1 + 0.125);
}

TEST_F(RolloutScorerTest, SolutionStepsThatMatchAreRewardedAtTheTokenThatEndsThem) {
  ScoringJob job = Job({Spec("steps", RewardSpec::STEP_MATCH, 0.5)}, "5\n\n7\n9", FINISH_STOP,
                       "2+3=<<2+3=5>>5\n5+4=<<5+4=9>>9\n#### 9");
  TokenSpan* span = job.rollout.add_spans();
  span->set_kind(TokenSpan::SAMPLED);
  for (char c : job.rollout.completion()) span->add_tokens(static_cast<uint32_t>(c));
  span->add_tokens(0);  // the end of the sample
  FillTexts(Letters(), &job);
  job = Score(std::move(job));
  ASSERT_TRUE(job.status.ok()) << job.status;
  const RewardValue& value = job.rollout.rewards(0);
  EXPECT_DOUBLE_EQ(value.value(), 1);
  EXPECT_DOUBLE_EQ(job.rollout.reward(), 0.5);
  ASSERT_EQ(value.steps_size(), 3);
  EXPECT_EQ(value.steps(0).token(), 1u);
  EXPECT_DOUBLE_EQ(value.steps(0).value(), 0.5);
  EXPECT_EQ(value.steps(1).token(), 4u);
  EXPECT_DOUBLE_EQ(value.steps(1).value(), 0);
  EXPECT_EQ(value.steps(2).token(), 5u);
}

TEST_F(RolloutScorerTest, WhatTheLimitCutEarnsNothing) {
  for (const auto& [finish, reward] : {std::pair(FINISH_LENGTH, 0), std::pair(FINISH_STOP, 2)}) {
    for (const char* text : {"#### 18", "It is 18"}) {  // of 180, perhaps
      const ScoringJob job = Score(Job({Spec("strict", RewardSpec::EXACT_MATCH_STRICT, 1),
                                        Spec("flexible", RewardSpec::EXACT_MATCH_FLEXIBLE, 1),
                                        Spec("steps", RewardSpec::STEP_MATCH, 1)},
                                       text, finish, "It is 18\n#### 18"));
      ASSERT_TRUE(job.status.ok()) << job.status;
      EXPECT_EQ(job.rollout.reward(), reward) << text;
      if (finish == FINISH_LENGTH) {
        EXPECT_EQ(job.rollout.rewards(0).verdict(), TRUNCATED);
        EXPECT_EQ(job.rollout.rewards(1).verdict(), TRUNCATED);
      }
    }
  }
}

TEST_F(RolloutScorerTest, AFailedScoringIsAnErrorAndNeverAZero) {
  const std::pair<RewardSpec, const char*> cases[] = {
      {Spec("orm", RewardSpec::ORM, 1), "reward 'orm'"},
      {Spec("strict", RewardSpec::EXACT_MATCH_STRICT, std::numeric_limits<double>::infinity()),
       "not finite"},
      {Own("broken", "exit 3"), "reward 'broken': crash: exited with code 3"},
      {Own("mute", Replying("\\\"value\\\":null")), "reward 'mute': no_number"},
  };
  for (const auto& [spec, why] : cases) {
    const ScoringJob job =
        Score(Job({Spec("first", RewardSpec::EXACT_MATCH_FLEXIBLE, 1), spec}, "18"));
    ASSERT_FALSE(job.status.ok()) << why;
    EXPECT_THAT(std::string(job.status.message()), HasSubstr(why));
    EXPECT_EQ(job.rollout.reward(), 0);
  }
}

TEST_F(RolloutScorerTest, ACommandThatTheActorWasNotStartedForIsNotRun) {
  RolloutScorer scorer({.rewarder = &verifier_, .commands = {"other"}});
  const ScoringJob job = ScoreBy(scorer, Job({Own("bad", Replying("\\\"value\\\":1"))}, "18"));
  EXPECT_THAT(std::string(job.status.message()), HasSubstr("was not started for the command"));
}

TEST_F(RolloutScorerTest, IsToldThePromptAsTheModelSawIt) {
  ScoringJob job = Job({Own("r", "")}, "18");
  TokenSpan* span = job.rollout.add_spans();
  span->set_kind(TokenSpan::PROMPT);
  for (uint32_t token : {1, 2, 3}) span->add_tokens(token);
  FillTexts(Letters(), &job);
  EXPECT_EQ(job.prompt, "xxx");
}

TEST_F(RolloutScorerTest, EndsWithoutWaitingForWhatIsPending) {
  RewardSpec hangs = Own("hangs", "sleep 1000");
  RolloutScorer scorer({.rewarder = &verifier_, .commands = {hangs.command()}});
  for (int i = 0; i < 8; ++i) scorer.Add(Job({hangs}, "18"));
}

}  // namespace
}  // namespace reckon
