#include "common/reward/reward_lines.h"

#include <limits>
#include <string>
#include <tuple>
#include <variant>

#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

ScoreRequest Request() {
  ScoreRequest request;
  request.set_id("p/1/2");
  request.set_completion("größer\n18");  // 9 characters, 11 bytes
  return request;
}

RewardValue Value(const std::string& line) {
  const RewardOutcome outcome = ReadReplyLine(Request(), line);
  const auto* failed = std::get_if<FailedAttempt>(&outcome);
  EXPECT_EQ(failed, nullptr) << failed->why;
  return std::get<RewardValue>(outcome);
}

TEST(RewardLinesTest, ARequestIsOneLineWithTheColumnsAsAnObject) {
  ScoreRequest request = Request();
  request.set_columns(R"({"level":3,"tags":["a","b"]})");
  request.set_tokens(4);
  request.set_truncated(true);
  const std::string line = RequestLine(request);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto object = ParseJson(line);
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ((*object)["completion"], "größer\n18");
  EXPECT_EQ((*object)["columns"]["tags"][1], "b");
  EXPECT_EQ((*object)["tokens"], 4);
  EXPECT_EQ((*object)["truncated"], true);
  for (const char* no_object : {"", "[1]", "{\"a\":", "\n\n"}) {
    request.set_columns(no_object);
    EXPECT_TRUE((*ParseJson(RequestLine(request)))["columns"].is_object()) << no_object;
  }
}

TEST(RewardLinesTest, ReadsWhatAReplyMayHave) {
  const RewardValue value = Value(
      R"({"id":"p/1/2","value":0.75,"verdict":"correct","extracted":"18","steps":[{"end":7,"value":0.25},{"end":9,"value":0.5}],"more":1})");
  EXPECT_EQ(value.value(), 0.75);
  EXPECT_EQ(value.verdict(), CORRECT);
  EXPECT_EQ(value.extracted(), "18");
  ASSERT_EQ(value.steps_size(), 2);
  EXPECT_EQ(value.steps(0).end(), 9u);  // bytes: two characters have two
  EXPECT_EQ(value.steps(1).end(), 11u);
}

TEST(RewardLinesTest, WithoutAVerdictOneIsCorrect) {
  EXPECT_EQ(Value(R"({"id":"p/1/2","value":1})").verdict(), CORRECT);
  EXPECT_EQ(Value(R"({"id":"p/1/2","value":0.9})").verdict(), WRONG);
  EXPECT_EQ(Value(R"({"id":"p/1/2","value":-2,"verdict":"UNPARSABLE"})").verdict(), UNPARSABLE);
}

TEST(RewardLinesTest, AFieldThatIsNullIsAbsent) {
  const RewardValue value = Value(
      R"({"id":"p/1/2","value":1,"error":null,"verdict":null,"extracted":null,"steps":null})");
  EXPECT_EQ(value.value(), 1);
  EXPECT_EQ(value.verdict(), CORRECT);
}

TEST(RewardLinesTest, WhatIsNoRewardIsAFailureByName) {
  const std::tuple<const char*, RewardFailure, const char*> cases[] = {
      {"checking...", RewardFailure::kBadReply, "checking..."},
      {"", RewardFailure::kBadReply, "no JSON object"},
      {"[1]", RewardFailure::kBadReply, "no JSON object"},
      {R"({"value":1})", RewardFailure::kBadReply, "p/1/2"},
      {R"({"id":"p/1/3","value":1})", RewardFailure::kBadReply, "p/1/3"},
      {R"({"id":7,"value":1})", RewardFailure::kBadReply, "p/1/2"},
      {R"({"id":"p/1/2"})", RewardFailure::kNoNumber, "no \"value\""},
      {R"({"id":"p/1/2","value":null})", RewardFailure::kNoNumber, "no \"value\""},
      {R"({"id":"p/1/2","value":"1"})", RewardFailure::kNoNumber, "\"1\""},
      {R"({"id":"p/1/2","value":true})", RewardFailure::kNoNumber, "true"},
      {R"({"id": "p/1/2", "value": NaN})", RewardFailure::kNoNumber, "NaN"},
      {R"({"id": "p/1/2", "value": -Infinity})", RewardFailure::kNoNumber, "Infinity"},
      {R"({"id":"p/1/2","error":"no reference"})", RewardFailure::kRefused, "no reference"},
      {R"({"id":"p/1/2","value":1,"error":""})", RewardFailure::kRefused,
       "refused without a reason"},
      {R"({"id":"p/1/2","value":1,"error":7})", RewardFailure::kBadReply, "no text"},
      {R"({"id":"p/1/2","value":1,"verdict":"good"})", RewardFailure::kBadReply, "good"},
      {R"({"id":"p/1/2","value":1,"verdict":1})", RewardFailure::kBadReply, "no text"},
      {R"({"id":"p/1/2","value":1,"steps":[{"end":10,"value":1}]})", RewardFailure::kBadReply, "9"},
      {R"({"id":"p/1/2","value":1,"steps":[{"end":3,"value":1},{"end":3,"value":0}]})",
       RewardFailure::kBadReply, "character 3"},
      {R"({"id":"p/1/2","value":1,"steps":[{"end":3,"value":0.5}]})", RewardFailure::kBadReply,
       "sum to 0.5"},
      {R"({"id":"p/1/2","value":1,"steps":[{"end":-3,"value":1}]})", RewardFailure::kBadReply,
       "steps"},
      {R"({"id":"p/1/2","value":1,"steps":1})", RewardFailure::kBadReply, "steps"},
  };
  for (const auto& [line, failure, why] : cases) {
    const RewardOutcome outcome = ReadReplyLine(Request(), line);
    const auto* failed = std::get_if<FailedAttempt>(&outcome);
    ASSERT_NE(failed, nullptr) << line;
    EXPECT_EQ(failed->failure, failure) << line << ": " << failed->why;
    EXPECT_THAT(failed->why, HasSubstr(why)) << line;
  }
}

TEST(RewardLinesTest, ValuesOfAServiceThatAreNotFiniteAreNone) {
  ScoreReply reply;
  reply.set_value(std::numeric_limits<double>::quiet_NaN());
  const RewardOutcome outcome = MakeRewardValue(Request(), reply);
  ASSERT_TRUE(std::holds_alternative<FailedAttempt>(outcome));
  EXPECT_EQ(std::get<FailedAttempt>(outcome).failure, RewardFailure::kNoNumber);
}

}  // namespace
}  // namespace reckon
