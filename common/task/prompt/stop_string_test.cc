#include "common/task/prompt/stop_string.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kEnd = 0, kOtherEnd = 9;

TableTokenizer Texts() {
  return TableTokenizer({"", " #### 5", "\n", "Question", ":", "5\n", "", "", "", ""});
}

Rollout Sampled(const std::vector<uint32_t>& tokens, const std::string& completion) {
  Rollout rollout;
  rollout.set_finish(FINISH_STOP);
  rollout.set_completion(completion);
  TokenSpan* prompt = rollout.add_spans();
  prompt->set_kind(TokenSpan::PROMPT);
  prompt->add_tokens(3);
  TokenSpan* span = rollout.add_spans();
  span->set_kind(TokenSpan::SAMPLED);
  span->set_weight_version(7);
  for (uint32_t token : tokens) {
    span->add_tokens(token);
    span->add_logprobs(-1);
  }
  return rollout;
}

TEST(StopStringTest, TheEndTokenTakesThePlaceOfTheStopString) {
  Rollout rollout = Sampled({1, 2, 2, 3, 4}, " #### 5\n");
  StepValue* step = rollout.add_rewards()->add_steps();
  step->set_token(0);
  rollout.mutable_rewards(0)->add_steps()->set_token(3);
  ASSERT_TRUE(EndAtStopString(Texts(), {kEnd, kOtherEnd}, &rollout));
  ASSERT_EQ(rollout.spans_size(), 3);
  EXPECT_THAT(rollout.spans(0).tokens(), ElementsAre(3));  // the prompt
  EXPECT_THAT(rollout.spans(1).tokens(), ElementsAre(1));
  EXPECT_THAT(rollout.spans(1).logprobs(), ElementsAre(-1));
  EXPECT_EQ(rollout.spans(2).kind(), TokenSpan::SAMPLED);
  EXPECT_EQ(rollout.spans(2).weight_version(), 7u);
  EXPECT_THAT(rollout.spans(2).tokens(), ElementsAre(kEnd));
  EXPECT_THAT(rollout.spans(2).logprobs(), IsEmpty());
  EXPECT_EQ(rollout.rewards(0).steps(0).token(), 0u);
  EXPECT_EQ(rollout.rewards(0).steps(1).token(), 1u);
  EXPECT_FALSE(EndAtStopString(Texts(), {kEnd, kOtherEnd}, &rollout)) << "it is done";
}

TEST(StopStringTest, ATokenThatReachesIntoTheStopStringIsCutWhole) {
  Rollout rollout = Sampled({1, 5, 3, 4}, " #### 55");
  ASSERT_TRUE(EndAtStopString(Texts(), {kEnd}, &rollout));
  EXPECT_THAT(rollout.spans(1).tokens(), ElementsAre(1));
}

TEST(StopStringTest, OtherEndsStayAsTheyAre) {
  for (uint32_t end : {kEnd, kOtherEnd}) {
    Rollout rollout = Sampled({1, end}, " #### 5");
    EXPECT_FALSE(EndAtStopString(Texts(), {kEnd, kOtherEnd}, &rollout));
    EXPECT_THAT(rollout.spans(1).tokens(), ElementsAre(1, end));
  }
  Rollout truncated = Sampled({1, 2}, " #### 5\n");
  truncated.set_finish(FINISH_LENGTH);
  EXPECT_FALSE(EndAtStopString(Texts(), {kEnd}, &truncated));
  EXPECT_EQ(truncated.spans_size(), 2);
}

}  // namespace
}  // namespace reckon
