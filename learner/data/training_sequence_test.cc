#include "learner/data/training_sequence.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(TrainingSequenceTest, LearnsTheCompletionOnly) {
  TrainingSequence sequence = MakeSequence({5, 6, 7}, {8, 9});
  EXPECT_EQ(sequence.tokens, (std::vector<uint32_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(sequence.loss, (std::vector<bool>{false, false, false, true, true}));
  EXPECT_EQ(LossTokens(sequence), 2);
}

TEST(TrainingSequenceTest, NeverLearnsTheFirstToken) {
  EXPECT_EQ(LossTokens(MakeSequence({}, {8, 9})), 1);
}

TEST(TrainingSequenceTest, IsTheSameAfterSerialization) {
  std::vector<TrainingSequence> sequences = {MakeSequence({1, 2}, {3}), MakeSequence({}, {}),
                                             MakeSequence({49151}, {0, 7, 7})};
  sequences[1].target = 0.25f;
  sequences[2].target = -1;
  auto parsed = ParseSequences(SerializeSequences(sequences));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, sequences);
  EXPECT_TRUE(ParseSequences("")->empty());
}

TEST(TrainingSequenceTest, RefusesBytesThatEndEarly) {
  std::string bytes = SerializeSequences({MakeSequence({1, 2}, {3})});
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(ParseSequences(absl::string_view(bytes).substr(0, cut)).ok()) << cut;
  }
}

}  // namespace
}  // namespace reckon
