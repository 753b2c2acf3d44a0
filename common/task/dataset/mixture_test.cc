#include "common/task/dataset/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace reckon {
namespace {

std::string Draw(SetOrder order, int places) {
  std::string sets;
  for (int i = 0; i < places; ++i) sets += static_cast<char>('a' + order.Next());
  return sets;
}

TEST(MixtureTest, EveryRunOfPlacesHoldsTheShares) {
  EXPECT_EQ(Draw(SetOrder({3, 1}), 8), "aabaaaba");
  EXPECT_EQ(Draw(SetOrder({1, 0, 1}), 4), "acac");
  const std::string drawn = Draw(SetOrder({0.2, 0.7, 0.1}), 10000);
  for (size_t begin = 0; begin + 100 <= drawn.size(); begin += 37) {
    const std::string run = drawn.substr(begin, 100);
    EXPECT_NEAR(std::count(run.begin(), run.end(), 'a'), 20, 2);
    EXPECT_NEAR(std::count(run.begin(), run.end(), 'b'), 70, 2);
  }
}

TEST(MixtureTest, ASetThatHasNothingMoreLeavesItsPlacesToTheOthers) {
  std::string sets;
  std::vector<size_t> of_first;
  for (const SetPlace& place : InterleaveSets({1, 1, 5}, {4, 2, 0})) {
    sets += static_cast<char>('a' + place.set);
    if (place.set == 0) of_first.push_back(place.index);
  }
  EXPECT_EQ(sets, "ababaa");
  EXPECT_THAT(of_first, testing::ElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace reckon
