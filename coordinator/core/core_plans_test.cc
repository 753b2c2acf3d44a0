#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CorePlans : public ::testing::Test {
 protected:
  void Open(const PlanSpec& spec, uint64_t groups, bool end = false) {
    ASSERT_TRUE(core->OpenPlan(OpenRequest(spec)).ok());
    ASSERT_TRUE(core->AppendGroups(AppendRequest(spec.name(), 0, groups, end)).ok());
  }
  void TearDown() override { EXPECT_TRUE(core->CheckInvariants().ok()); }

  MemoryStore store;
  CoreHarness core{&store};
};

TEST_F(CorePlans, TheSameSpecificationAgainIsANoOpAndAnotherIsRefused) {
  Open(MakeSpec("p", 2, 1), 3);
  const auto again = core->OpenPlan(OpenRequest(MakeSpec("p", 2, 1)));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->appended_groups(), 3);
  EXPECT_EQ(core->OpenPlan(OpenRequest(MakeSpec("p", 3, 1))).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(CorePlans, ASpecificationOutOfRangeIsRefused) {
  const auto refused = [&](PlanSpec spec) {
    return core->OpenPlan(OpenRequest(spec)).status().code() == absl::StatusCode::kInvalidArgument;
  };
  PlanSpec spec = MakeSpec("p", 2, 1);
  spec.mutable_sampling()->set_temperature(-1);
  EXPECT_TRUE(refused(spec));
  spec = MakeSpec("p", 2, 1);
  spec.mutable_sampling()->set_top_p(0);
  EXPECT_TRUE(refused(spec));
  EXPECT_TRUE(refused(MakeSpec("p", 0, 1)));
  EXPECT_TRUE(refused(MakeSpec("p", 1, 0)));
  EXPECT_TRUE(refused(MakeSpec("p", 1, 1, 0)));
  EXPECT_TRUE(refused(MakeSpec("p", 1000, 1000)));
  EXPECT_TRUE(refused(MakeSpec("", 1, 1)));
  EXPECT_TRUE(refused(MakeSpec(std::string("a\0b", 3), 1, 1)));
  spec = MakeSpec("p", 2, 1);
  spec.mutable_rewards(0)->set_kind(RewardSpec::ORM);
  EXPECT_TRUE(refused(spec));
  // Of a program that knows more kinds.
  ASSERT_TRUE(spec.mutable_rewards(0)->ParseFromString(
      absl::StrCat(MakeSpec("p", 2, 1).rewards(0).SerializeAsString(), "\x08\x63")));
  EXPECT_TRUE(refused(spec));
  EXPECT_FALSE(refused(MakeSpec("p", 2, 1)));
}

TEST_F(CorePlans, AppendedGroupsMayBeRepeatedButNotChangedAndLeaveNoGap) {
  Open(MakeSpec("p", 2, 1), 3);
  EXPECT_EQ(core->AppendGroups(AppendRequest("p", 1, 4))->appended_groups(), 5);
  AppendGroupsRequest changed = AppendRequest("p", 1, 1);
  changed.mutable_items(0)->add_prompt_tokens(1);
  EXPECT_EQ(core->AppendGroups(changed).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(core->AppendGroups(AppendRequest("p", 6, 1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  AppendGroupsRequest misnumbered = AppendRequest("p", 5, 1);
  misnumbered.mutable_items(0)->set_group(9);
  EXPECT_EQ(core->AppendGroups(misnumbered).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(core->AppendGroups(AppendRequest("q", 0, 1)).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(CorePlans, AnEndedPlanTakesNoMoreGroups) {
  Open(MakeSpec("p", 1, 1), 3, /*end=*/true);
  EXPECT_TRUE(core->AppendGroups(AppendRequest("p", 0, 3, true)).ok());
  EXPECT_FALSE(core->AppendGroups(AppendRequest("p", 3, 1)).ok());
  EXPECT_FALSE(core->AppendGroups(AppendRequest("p", 0, 2, true)).ok());
}

TEST_F(CorePlans, AppendingStopsWhenTheWindowIsFullAndContinuesAsGroupsComplete) {
  CoreOptions options;
  options.max_resident_groups = 4;
  CoreHarness small(&store, options);
  ASSERT_TRUE(small->OpenPlan(OpenRequest(MakeSpec("w", 1, 2))).ok());
  ASSERT_TRUE(small->PublishWeights(PublishRequest(0)).ok());
  ASSERT_TRUE(small->AppendGroups(AppendRequest("w", 0, 4)).ok());
  EXPECT_EQ(small->AppendGroups(AppendRequest("w", 4, 1)).status().code(),
            absl::StatusCode::kResourceExhausted);
  small.Finish("a", small.LeaseWork("a", 1).at(0));
  EXPECT_TRUE(small->AppendGroups(AppendRequest("w", 4, 1)).ok());
}

TEST_F(CorePlans, SynchronousBatchesAreTheNextGroupsInKeyOrder) {
  Open(MakeSpec("p", 2, 2), 6);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto leases = core.LeaseWork("a", 100);
  ASSERT_EQ(leases.size(), 2u) << "only the first batch is admitted";
  core.Finish("a", leases[1]);
  EXPECT_THAT(core.Batch("p", 0), IsEmpty());
  core.Finish("a", leases[0]);
  EXPECT_THAT(core.Batch("p", 0), ElementsAre(0, 1));
  EXPECT_THAT(core.LeaseWork("a", 100), IsEmpty());
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  EXPECT_EQ(core.LeaseWork("a", 100).size(), 2u);
}

TEST_F(CorePlans, BatchesAreAppliedInOrderAndOnlyOnce) {
  Open(MakeSpec("p", 1, 1, 3), 3);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  for (const Lease& lease : core.LeaseWork("a", 2)) core.Finish("a", lease);
  EXPECT_EQ(core->MarkApplied(AppliedRequest("p", 1, 0)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(core->MarkApplied(AppliedRequest("p", 2, 0)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  EXPECT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  EXPECT_EQ(core->Status(core.now()).plans(0).batches_applied(), 1);
}

TEST_F(CorePlans, AnApplicationWaitsForItsVersionBeforeMoreWorkIsLeased) {
  Open(MakeSpec("p", 1, 1), 2);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  core.Finish("a", core.LeaseWork("a", 1).at(0));
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 1)).ok());
  EXPECT_THAT(core.LeaseWork("a", 1), IsEmpty()) << "version 1 is not published";
  ASSERT_TRUE(core->PublishWeights(PublishRequest(1)).ok());
  EXPECT_EQ(core.LeaseWork("a", 1).at(0).weight_version(), 1);
}

TEST_F(CorePlans, AsynchronousBatchesAreTheFirstCompleteGroups) {
  Open(MakeSpec("p", 1, 2, 2), 8);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto leases = core.LeaseWork("a", 100);
  ASSERT_EQ(leases.size(), 4u) << "two batches are admitted";
  core.Finish("a", leases[3]);
  core.Finish("a", leases[1]);
  EXPECT_THAT(core.Batch("p", 0), ElementsAre(1, 3));
}

TEST_F(CorePlans, ACutWaitsForAGroupThatWouldGrowTooOld) {
  Open(MakeSpec("p", 1, 2, 2), 20);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto first = core.LeaseWork("a", 4);
  for (int i : {1, 2}) core.Finish("a", first[i]);
  EXPECT_THAT(core.Batch("p", 0), ElementsAre(1, 2));
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  const auto second = core.LeaseWork("b", 100);
  ASSERT_EQ(second.size(), 2u);
  for (const Lease& lease : second) core.Finish("b", lease);
  EXPECT_THAT(core.Batch("p", 1), IsEmpty()) << "groups 0 and 3 began two batches ago";
  core.Finish("a", first[0]);
  EXPECT_THAT(core.Batch("p", 1), IsEmpty());
  core.Finish("a", first[3]);
  EXPECT_THAT(core.Batch("p", 1), ElementsAre(0, 3));
}

TEST_F(CorePlans, TheLastBatchOfAnEndedPlanMayBeShort) {
  Open(MakeSpec("p", 1, 4), 5, /*end=*/true);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  for (const Lease& lease : core.LeaseWork("a", 10)) core.Finish("a", lease);
  EXPECT_FALSE((*core->NextBatch(BatchRequest("p", 1))).has_value());
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  for (const Lease& lease : core.LeaseWork("a", 10)) core.Finish("a", lease);
  EXPECT_THAT(core.Batch("p", 1), ElementsAre(4));
  EXPECT_TRUE((*core->NextBatch(BatchRequest("p", 2)))->end_of_plan());
}

TEST_F(CorePlans, AnEmptyPlanEndsWithoutABatch) {
  Open(MakeSpec("p", 1, 4), 0);
  EXPECT_FALSE((*core->NextBatch(BatchRequest("p", 0))).has_value());
  ASSERT_TRUE(core->AppendGroups(AppendRequest("p", 0, 0, true)).ok());
  EXPECT_TRUE((*core->NextBatch(BatchRequest("p", 0)))->end_of_plan());
}

TEST_F(CorePlans, ClosingDropsLeasesAndKeepsRollouts) {
  Open(MakeSpec("p", 2, 2), 2);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto leases = core.LeaseWork("a", 4);
  core.Finish("a", leases[0]);
  ClosePlanRequest close;
  close.set_plan("p");
  ASSERT_TRUE(core->ClosePlan(close).ok());
  ASSERT_TRUE(core->ClosePlan(close).ok());
  core.Commit();
  EXPECT_EQ(core->ledger().outstanding(), 0);
  EXPECT_EQ(core->ledger().returned(), 2);
  EXPECT_EQ(CountKeys(store, "r"), 2u);
  EXPECT_EQ(CountKeys(store, "i"), 0u);
  EXPECT_EQ(core.Submit("a", leases[1].id(), MakeRollout("p", 1, 0, 0)).outcome(),
            SubmitReply::Ack::LATE);
  EXPECT_EQ(core.Submit("a", leases[0].id(), MakeRollout("p", 0, 0, 0)).outcome(),
            SubmitReply::Ack::DUPLICATE);
  EXPECT_FALSE(core->AppendGroups(AppendRequest("p", 2, 1)).ok());
}

}  // namespace
}  // namespace reckon
