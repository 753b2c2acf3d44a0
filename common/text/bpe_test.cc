#include "common/text/bpe.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<uint32_t> Apply(const BpeMerges& merges, const std::vector<uint32_t>& word) {
  BpeMerges::Scratch scratch;
  std::vector<uint32_t> out;
  merges.Apply(word, &scratch, &out);
  return out;
}

TEST(BpeTest, APairThatChangedWaitsForTheRankOfTheNewPair) {
  BpeMerges merges;  // a=1 b=2 c=3 d=4
  merges.Add(2, 3, 0, 23);
  merges.Add(1, 2, 1, 12);
  merges.Add(23, 4, 2, 234);
  merges.Add(1, 23, 3, 123);
  EXPECT_THAT(Apply(merges, {1, 2, 3, 4}), ElementsAre(1, 234));
  EXPECT_THAT(Apply(merges, {1, 2, 3}), ElementsAre(123));
  EXPECT_THAT(Apply(merges, {}), IsEmpty());
  EXPECT_THAT(Apply(merges, {4}), ElementsAre(4));
}

TEST(BpeTest, AMergeReadTwiceHasItsLaterRank) {
  BpeMerges merges;
  merges.Add(1, 2, 0, 12);
  merges.Add(2, 3, 1, 23);
  merges.Add(1, 2, 2, 12);
  EXPECT_THAT(Apply(merges, {1, 2, 3}), ElementsAre(1, 23));
}

TEST(BpeTest, EqualsTheDefinitionOnRandomMerges) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    // Tokens are strings of two letters, as in a vocabulary, so that ids are what they spell.
    std::vector<std::string> tokens = {"a", "b"};
    std::vector<std::tuple<uint32_t, uint32_t, uint32_t>> ranked;
    BpeMerges merges;
    for (int i = 0; i < 20; ++i) {
      const uint32_t left = random() % tokens.size(), right = random() % tokens.size();
      const std::string joined = tokens[left] + tokens[right];
      if (joined.size() > 8 || std::count(tokens.begin(), tokens.end(), joined) > 0) continue;
      merges.Add(left, right, ranked.size(), tokens.size());
      ranked.emplace_back(left, right, tokens.size());
      tokens.push_back(joined);
    }
    std::vector<uint32_t> word(random() % 60);
    for (uint32_t& id : word) id = random() % 2;

    std::vector<uint32_t> want = word;
    for (bool joined = true; joined;) {
      joined = false;
      for (auto [left, right, result] : ranked) {
        const uint32_t pair[] = {left, right};
        auto at = std::search(want.begin(), want.end(), std::begin(pair), std::end(pair));
        if (at == want.end()) continue;
        *at = result;
        want.erase(at + 1);
        joined = true;
        break;
      }
    }
    EXPECT_EQ(Apply(merges, word), want);
  }
}

}  // namespace
}  // namespace reckon
