#include "actor/serve/generation.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// One choice whose text grows byte by byte, each of which is a token, and what is told of it after
// each.
class Growing {
 public:
  explicit Growing(std::vector<std::string> stops) : generation_(Request(std::move(stops))) {}

  std::vector<std::string> Told(absl::string_view text) {
    std::vector<std::string> told;
    for (size_t size = tokens_.size() + 1; size <= text.size(); ++size) {
      tokens_.push_back(size);
      logprobs_.push_back(-1);
      generation_.Update(0, tokens_, logprobs_, {}, text.substr(0, size), FINISH_UNSPECIFIED);
      told.push_back(Read());
    }
    return told;
  }
  std::string End(absl::string_view completion, FinishReason finish) {
    generation_.Update(0, tokens_, logprobs_, {}, completion, finish);
    return Read();
  }
  const Generation& generation() const { return generation_; }

 private:
  static GenerationRequest Request(std::vector<std::string> stops) {
    GenerationRequest request;
    request.prompts = {{1}};
    request.stop_strings = std::move(stops);
    return request;
  }
  std::string Read() {
    const auto news = generation_.Next(absl::ZeroDuration());
    EXPECT_TRUE(news.ok());
    std::string text;
    for (const ChoiceNews& each : *news) text += each.text;
    return text;
  }

  Generation generation_;
  std::vector<uint32_t> tokens_;
  std::vector<float> logprobs_;
};

TEST(GenerationTest, WhatAStopStringMayCutIsHeldBack) {
  Growing growing({"\nQ:", "END"});
  EXPECT_THAT(growing.Told("ab\nEN"), ElementsAre("a", "b", "", "\n", ""));
  EXPECT_THAT(growing.Told("ab\nENx"), ElementsAre("ENx"));
  EXPECT_THAT(growing.Told("ab\nENx\nQ"), ElementsAre("", ""));
  EXPECT_EQ(growing.End("ab\nENx", FINISH_STOP), "");
  EXPECT_TRUE(growing.generation().ended());
}

TEST(GenerationTest, ACharacterIsToldWhole) {
  Growing growing({});
  EXPECT_THAT(growing.Told("a\xc3\xa9\xe2\x82\xac!"), ElementsAre("a", "", "é", "", "", "€", "!"));
  // The length limit cuts the next one: what the rollout's repair made of it comes with the end.
  EXPECT_THAT(growing.Told("a\xc3\xa9\xe2\x82\xac!\xf0\x9f").back(), IsEmpty());
  EXPECT_EQ(growing.End("aé€!\ufffd", FINISH_LENGTH), "\ufffd");
}

TEST(GenerationTest, BytesThatAreNoTextAreRepairedAsInTheWholeText) {
  Growing growing({});
  const std::vector<std::string> told = growing.Told("a\x80\xe2\x82z");
  EXPECT_THAT(told, ElementsAre("a", "\ufffd", "", "", "\ufffdz"));
  EXPECT_EQ(growing.End("a\ufffd\ufffdz", FINISH_LENGTH), "");
}

TEST(GenerationTest, EachChoiceHasItsTokensOnce) {
  GenerationRequest request;
  request.prompts = {{1}, {2}};
  request.samples = 2;
  request.ranked = 1;
  Generation generation(request);
  const std::vector<std::vector<RankedToken>> ranked = {{{7, -0.5f}}, {{8, -0.25f}}};
  generation.Update(2, {5}, {-1.f}, absl::MakeSpan(ranked).first(1), "x", FINISH_UNSPECIFIED);
  generation.Update(2, {5, 6}, {-1.f, -2.f}, ranked, "xy", FINISH_UNSPECIFIED);
  auto news = generation.Next(absl::ZeroDuration());
  ASSERT_TRUE(news.ok());
  ASSERT_EQ(news->size(), 1u);
  const ChoiceNews& choice = news->front();
  EXPECT_EQ(choice.choice, 2u);
  EXPECT_EQ(choice.text, "xy");
  ASSERT_EQ(choice.tokens.size(), 2u);
  EXPECT_EQ(choice.tokens[1].id, 6u);
  EXPECT_EQ(choice.tokens[1].logprob, -2);
  EXPECT_EQ(choice.tokens[1].ranked[0].token, 8u);
  news = generation.Next(absl::ZeroDuration());
  ASSERT_TRUE(news.ok());
  EXPECT_THAT(*news, IsEmpty());
  EXPECT_FALSE(generation.ended());
}

TEST(GenerationTest, AFailureIsTheEnd) {
  GenerationRequest request;
  request.prompts = {{1}};
  Generation generation(request);
  generation.Fail(absl::DeadlineExceededError("late"));
  generation.Fail(absl::CancelledError("and gone"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(generation.Next(absl::InfiniteDuration()).status()));
}

}  // namespace
}  // namespace reckon
