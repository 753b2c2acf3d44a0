#include "learner/data/selected_rollouts.h"

#include <utility>

#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

TEST(SeenSolutionsTest, OfEqualSolutionsOfAProblemTheFirstCounts) {
  const std::string one = "So 1+2=<<1+2=3>>3", other = "It is 1+2=<<1+2=3>>3";
  for (const auto& [rule, same] :
       {std::pair(EiSettings::TEXT, false), std::pair(EiSettings::EQUATIONS, true)}) {
    SeenSolutions seen(rule);
    EXPECT_TRUE(seen.Insert(1, one));
    EXPECT_FALSE(seen.Insert(1, one));
    EXPECT_EQ(seen.Insert(1, other), !same) << rule;
    EXPECT_TRUE(seen.Insert(2, one)) << "another problem";
  }
  SeenSolutions all(EiSettings::NONE);
  EXPECT_TRUE(all.Insert(1, one));
  EXPECT_TRUE(all.Insert(1, one));
}

class SpliceTest : public testing::Test {
 protected:
  SpliceTest() {
    auto tokenizer = Tokenizer::Create(MakeTinyModel().manifest.texts().tokenizer_json());
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    Add(TokenSpan::PROMPT, "few shots");
  }

  void Add(TokenSpan::Kind kind, const std::string& text, bool end = false) {
    TokenSpan* span = rollout_.add_spans();
    span->set_kind(kind);
    for (uint32_t id : Tokens(text)) span->add_tokens(id);
    if (end) span->add_tokens(kTinyEnd);
  }

  std::vector<uint32_t> Tokens(const std::string& text) { return *tokenizer_->Encode(text); }

  std::unique_ptr<Tokenizer> tokenizer_;
  Rollout rollout_;
};

TEST_F(SpliceTest, PutsTheRecordedTokensUnderTheOtherPrompt) {
  Add(TokenSpan::SAMPLED, " 2+3=5", /*end=*/true);
  rollout_.set_finish(FINISH_STOP);
  rollout_.set_completion(" 2+3=5");
  std::vector<uint32_t> completion = Tokens(" 2+3=5");
  completion.push_back(kTinyEnd);
  EXPECT_EQ(Splice(Tokens("Q:"), rollout_), MakeSequence(Tokens("Q:"), completion));
}

TEST_F(SpliceTest, DoesNotLearnForcedTokens) {
  Add(TokenSpan::FORCED, "ab");
  Add(TokenSpan::SAMPLED, "cd");
  rollout_.set_finish(FINISH_LENGTH);
  rollout_.set_completion("abcd");
  TrainingSequence sequence = Splice(Tokens("Q"), rollout_);
  EXPECT_EQ(sequence.tokens, Tokens("Qabcd"));
  EXPECT_EQ(sequence.loss, (std::vector<bool>{false, false, false, true, true}));
}

TEST_F(SpliceTest, LeavesATruncatedSampleAsItIs) {
  Add(TokenSpan::SAMPLED, " #### 5 and");
  rollout_.set_finish(FINISH_LENGTH);
  rollout_.set_completion(" #### 5 and");
  EXPECT_EQ(Splice(Tokens("Q"), rollout_), MakeSequence(Tokens("Q"), Tokens(" #### 5 and")));
}

}  // namespace
}  // namespace reckon
