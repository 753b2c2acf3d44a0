#include "learner/parallel/rank_groups.h"

#include "gtest/gtest.h"
#include "learner/parallel/traced_parallel.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

TEST(RankGroupsTest, NeighboursDivideAModelAndThoseWithTheSameShardAddUp) {
  std::stop_source stop;
  AsHybridRanks(6, 2, &stop, [](RankGroups& groups) {
    const int rank = groups.all->rank();
    EXPECT_EQ(groups.shards->rank(), rank % 2);
    EXPECT_EQ(groups.replicas->rank(), rank / 2);
    EXPECT_EQ(groups.shards->world(), 2);
    EXPECT_EQ(groups.replicas->world(), 3);
    float pair = static_cast<float>(rank), triple = pair;
    ASSERT_TRUE(groups.shards->AllReduceSum(absl::MakeSpan(&pair, 1)).ok());
    ASSERT_TRUE(groups.replicas->AllReduceSum(absl::MakeSpan(&triple, 1)).ok());
    EXPECT_EQ(pair, rank / 2 * 4 + 1);  // 0 + 1, 2 + 3, 4 + 5
    EXPECT_EQ(triple, rank % 2 == 0 ? 6 : 9);
  });
}

TEST(RankGroupsTest, TheRanksOfTheLeadersModelSendToIt) {
  std::stop_source stop;
  AsHybridRanks(6, 2, &stop, [](RankGroups& groups) {
    const MakeGroup make = [&](const std::string&, int rank, int world) {
      EXPECT_EQ(rank, groups.all->rank());
      return MakeAloneOf(world);
    };
    ASSERT_TRUE(AddSenders(make, &groups).ok());
    ASSERT_EQ(groups.senders != nullptr, groups.all->rank() < 2);
    if (groups.senders != nullptr) {
      EXPECT_EQ(groups.senders->world(), 2);
    }
    float one = 1;  // nobody leaves before all are connected
    ASSERT_TRUE(groups.all->AllReduceSum(absl::MakeSpan(&one, 1)).ok());
  });
}

TEST(RankGroupsTest, RanksThatCannotBeDividedAreRefused) {
  const MakeGroup make = [](const std::string&, int, int world) { return MakeAloneOf(world); };
  for (int shard_ranks : {0, 4, 7}) {
    RankGroups groups;
    groups.all = MakeAloneOf(6);
    const absl::Status added = AddHybridGroups(shard_ranks, make, &groups);
    EXPECT_EQ(added.code(), absl::StatusCode::kInvalidArgument) << shard_ranks;
  }
}

}  // namespace
}  // namespace reckon
