#include "cli/report/rollout_json.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using testing::ElementsAre;

TEST(RolloutJsonTest, ALineHasEveryFieldExactly) {
  Rollout rollout;
  rollout.mutable_key()->set_plan("eval/0_start/greedy");
  rollout.mutable_key()->set_group(uint64_t{1} << 40);
  rollout.mutable_key()->set_sample(3);
  TokenSpan& prompt = *rollout.add_spans();
  prompt.set_kind(TokenSpan::PROMPT);
  prompt.add_tokens(0);
  TokenSpan& sampled = *rollout.add_spans();
  sampled.set_kind(TokenSpan::SAMPLED);
  sampled.add_tokens(1);
  sampled.add_logprobs(-0.1f);
  sampled.set_weight_version(7);
  rollout.set_finish(FINISH_LENGTH);
  rollout.set_completion("b \xFF \"</script>");
  rollout.set_reward(0.1);
  rollout.set_actor("actor-0");
  RewardValue& reward = *rollout.add_rewards();
  reward.set_name("step_match");
  reward.set_value(0.1);
  reward.set_verdict(TRUNCATED);
  reward.set_extracted("18");
  StepValue& step = *reward.add_steps();
  step.set_end(2);
  step.set_token(1);
  step.set_value(0.1);

  const std::string line = RolloutLine(rollout, TableTokenizer({"a", "b"}));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const nlohmann::json read = nlohmann::json::parse(line);
  EXPECT_EQ(read["plan"], "eval/0_start/greedy");
  EXPECT_EQ(read["group"], uint64_t{1} << 40);
  EXPECT_EQ(read["sample"], 3);
  EXPECT_EQ(read["actor"], "actor-0");
  EXPECT_EQ(read["finish"], "length");
  EXPECT_EQ(read["reward"], 0.1);
  EXPECT_EQ(read["prompt"], "a");
  EXPECT_EQ(read["completion"], "b \xEF\xBF\xBD \"</script>");
  EXPECT_EQ(read["rewards"],
            nlohmann::json::parse(R"([{"name": "step_match", "value": 0.1, "verdict": "truncated",
              "extracted": "18", "steps": [{"end": 2, "token": 1, "value": 0.1}]}])"));
  EXPECT_EQ(read["spans"][0], nlohmann::json::parse(R"({"kind": "prompt", "tokens": [0]})"));
  EXPECT_EQ(read["spans"][1]["kind"], "sampled");
  EXPECT_EQ(read["spans"][1]["weight_version"], 7);
  EXPECT_EQ(read["spans"][1]["logprobs"][0].get<float>(), -0.1f);
}

TEST(RolloutJsonTest, ACharacterOfSeveralTokensIsTheLastOnes) {
  // The letter "e with acute" in two tokens, a euro sign in three, and a byte that begins nothing.
  const TableTokenizer tokenizer({"a", "\xC3", "\xA9", "\xE2", "\x82", "\xAC", "\xFF"});
  EXPECT_THAT(TokenTexts({0, 1, 2, 3, 4, 5, 0}, tokenizer),
              ElementsAre("a", "", "\xC3\xA9", "", "", "\xE2\x82\xAC", "a"));
  EXPECT_THAT(TokenTexts({6, 0}, tokenizer), ElementsAre("\xEF\xBF\xBD", "a"));
  EXPECT_THAT(TokenTexts({0, 1}, tokenizer), ElementsAre("a", "\xEF\xBF\xBD"))
      << "it was never finished";
}

}  // namespace
}  // namespace reckon
