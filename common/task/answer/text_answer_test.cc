#include "common/task/answer/text_answer.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(TextAnswerTest, IsWhatFollowsTheLastMarkOnItsLine) {
  EXPECT_EQ(FindMarked("#### no\nSo:\n####  Paris, France \nQuestion")->text, "Paris, France");
  EXPECT_FALSE(FindMarked("#### a\n")->open);
  EXPECT_TRUE(FindMarked("#### Par")->open);
  EXPECT_FALSE(FindMarked("Paris").has_value());
  EXPECT_FALSE(FindMarked("#### \nParis").has_value());
}

TEST(TextAnswerTest, EqualAnswersHaveOneForm) {
  EXPECT_EQ(CanonicalText(" The\t Seine. "), "the seine");
  EXPECT_EQ(CanonicalText("."), ".");
  EXPECT_NE(CanonicalText("3.0"), CanonicalText("3"));
  EXPECT_NE(CanonicalText("Zürich"), CanonicalText("Zurich"));
}

}  // namespace
}  // namespace reckon
