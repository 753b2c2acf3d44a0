#include "learner/update/packing.h"

#include <vector>

#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

TEST(PackFirstFitTest, FillsEarlierBinsFirst) {
  EXPECT_THAT(PackFirstFit({6, 5, 4, 3, 2}, 10),
              ElementsAre(ElementsAre(0, 2), ElementsAre(1, 3, 4)));
}

TEST(PackFirstFitTest, GivesATooLongSequenceItsOwnBin) {
  EXPECT_THAT(PackFirstFit({3, 12, 4}, 10), ElementsAre(ElementsAre(0, 2), ElementsAre(1)));
}

TEST(PackFirstFitTest, OfNothingIsNothing) { EXPECT_TRUE(PackFirstFit({}, 10).empty()); }

TEST(AssignToRanksTest, GivesEverySequenceToOneRankAndBalancesTokens) {
  CounterRng rng(7);
  for (int world : {1, 2, 3, 8}) {
    std::vector<int64_t> lengths;
    for (int i = 0; i < 100; ++i) lengths.push_back(1 + rng.Below(500, i));
    std::vector<int> seen(lengths.size(), 0);
    std::vector<int64_t> load;
    for (const std::vector<size_t>& mine : AssignToRanks(lengths, world)) {
      EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
      load.push_back(0);
      for (size_t i : mine) {
        ++seen[i];
        load.back() += lengths[i];
      }
    }
    EXPECT_THAT(seen, testing::Each(1));
    ASSERT_EQ(load.size(), static_cast<size_t>(world));
    auto [least, most] = std::minmax_element(load.begin(), load.end());
    EXPECT_LE(*most - *least, 500);
  }
}

TEST(AssignToRanksTest, TheLongestGoesFirstToTheRankWithTheFewestTokens) {
  EXPECT_THAT(AssignToRanks({3, 5, 2, 4}, 2), ElementsAre(ElementsAre(1, 2), ElementsAre(0, 3)));
  EXPECT_THAT(AssignToRanks({9, 1, 1, 1}, 2), ElementsAre(ElementsAre(0), ElementsAre(1, 2, 3)));
}

TEST(AssignToRanksTest, LeavesRanksEmptyWhenSequencesAreFew) {
  EXPECT_THAT(AssignToRanks({5}, 2), ElementsAre(ElementsAre(0), ElementsAre()));
}

}  // namespace
}  // namespace reckon
