#include "common/text/bpe_trainer.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(BpeTrainerTest, TheMostFrequentPairIsJoinedFirstAndItsResultMayBeJoinedAgain) {
  EXPECT_THAT(TrainMerges({"abc abc abc ab"}, 3),
              ElementsAre(Pair("a", "b"), Pair(" ", "ab"), Pair(" ab", "c")));
}

TEST(BpeTrainerTest, OfEquallyFrequentPairsTheOneWithOlderPartsIsJoined) {
  EXPECT_THAT(TrainMerges({"yz", "ab", "yz", "ab"}, 1), ElementsAre(Pair("a", "b")));
}

TEST(BpeTrainerTest, PairsThatOccurOnceAreLeft) { EXPECT_THAT(TrainMerges({"abc"}, 9), IsEmpty()); }

TEST(BpeTrainerTest, NumbersStayDigitsAndNoTokenCrossesAWordsBorder) {
  EXPECT_THAT(TrainMerges({"12 12 12 12"}, 9), IsEmpty());
}

TEST(BpeTrainerTest, ARunOfOneLetterIsJoinedFromTheLeft) {
  EXPECT_THAT(TrainMerges({"aaaaa", "aaaaa"}, 3),
              ElementsAre(Pair("a", "a"), Pair("aa", "a"), Pair("aa", "aaa")));
}

}  // namespace
}  // namespace reckon
