#include "learner/checkpoint/shared_checkpoint.h"

#include <numeric>

#include "gtest/gtest.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

Checkpoint Make(bool moments) {
  Checkpoint checkpoint;
  checkpoint.path = "/run/checkpoints/step_7";
  checkpoint.cursor.set_step(7);
  checkpoint.cursor.add_folders("sft_1");
  std::vector<float> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0.5f);
  checkpoint.parameters = {{"a", {numbers.begin(), numbers.begin() + 600}}, {"b", {}}, {"c", {3}}};
  if (moments) checkpoint.moments = AdamMoments{.steps = 4, .first = numbers, .second = {1, 2}};
  if (moments) checkpoint.moments->first.resize(601);
  if (moments) checkpoint.moments->second.resize(601, -1);
  return checkpoint;
}

TEST(SharedCheckpointTest, EveryRankGetsTheLeaders) {
  for (const bool moments : {false, true}) {
    std::stop_source stop;
    AsRanks(3, &stop, [&](Parallel& parallel) {
      const Checkpoint expected = Make(moments);
      std::optional<Checkpoint> checkpoint;
      if (parallel.rank() == 0) checkpoint = expected;
      ASSERT_TRUE(ShareCheckpoint(parallel, &checkpoint).ok());
      ASSERT_TRUE(checkpoint.has_value());
      EXPECT_EQ(checkpoint->path, expected.path);
      EXPECT_EQ(checkpoint->cursor.SerializeAsString(), expected.cursor.SerializeAsString());
      EXPECT_EQ(checkpoint->parameters, expected.parameters);
      ASSERT_EQ(checkpoint->moments.has_value(), moments);
      if (!moments) return;
      EXPECT_EQ(checkpoint->moments->steps, 4);
      EXPECT_EQ(checkpoint->moments->first, expected.moments->first);
      EXPECT_EQ(checkpoint->moments->second, expected.moments->second);
    });
  }
}

TEST(SharedCheckpointTest, WithoutOneNoRankHasAny) {
  std::stop_source stop;
  AsRanks(2, &stop, [](Parallel& parallel) {
    std::optional<Checkpoint> checkpoint;
    ASSERT_TRUE(ShareCheckpoint(parallel, &checkpoint).ok());
    EXPECT_FALSE(checkpoint.has_value());
  });
}

}  // namespace
}  // namespace reckon
