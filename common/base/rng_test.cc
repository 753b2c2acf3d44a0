#include "common/base/rng.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(PhiloxTest, GivesThePublishedVectors) {
  EXPECT_EQ(Philox4x32(0, 0, 0),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32(~0ULL, ~0ULL, ~0ULL),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(CounterRngTest, ADrawDependsOnKeyAndPositionAlone) {
  CounterRng a(StreamKey(1, "plan", 2, 3)), b(StreamKey(1, "plan", 2, 3));
  double at_seven = a.Uniform(7);
  for (int i = 0; i < 100; ++i) b.Uniform(i);
  EXPECT_EQ(b.Uniform(7), at_seven);
  EXPECT_NE(CounterRng(StreamKey(1, "plan", 2, 4)).Uniform(7), at_seven);
  EXPECT_NE(CounterRng(StreamKey(1, "plan", 3, 2)).Uniform(7), at_seven);
}

TEST(CounterRngTest, UniformHasTheMeanOfAUniform) {
  CounterRng rng(StreamKey(5, "mean"));
  double sum = 0;
  for (int i = 0; i < 100000; ++i) sum += rng.Uniform(i);
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

TEST(ShuffleTest, IsAPermutationFixedByItsKey) {
  std::vector<int> a(1000), b(1000);
  std::iota(a.begin(), a.end(), 0);
  std::iota(b.begin(), b.end(), 0);
  Shuffle(a, 9);
  Shuffle(b, 9);
  EXPECT_EQ(a, b);
  EXPECT_NE(a[0] * 1000 + a[1], 1);
  std::sort(a.begin(), a.end());
  std::iota(b.begin(), b.end(), 0);
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace reckon
