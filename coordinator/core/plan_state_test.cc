#include "coordinator/core/plan_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/core/core.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

class PlanStateTest : public ::testing::Test {
 protected:
  void Open(const PlanSpec& spec, uint64_t groups) {
    ASSERT_TRUE(core->OpenPlan(OpenRequest(spec)).ok());
    ASSERT_TRUE(core->AppendGroups(AppendRequest(spec.name(), 0, groups)).ok());
    ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  }
  void Return(const std::string& actor, uint64_t lease, const std::string& error = "") {
    ReturnLeasesRequest request;
    request.set_actor(actor);
    request.add_leases(lease);
    request.set_error(error);
    ASSERT_TRUE(core->ReturnLeases(request, core.now()).ok());
  }

  MemoryStore store;
  CoreOptions options = [] {
    CoreOptions strict;
    strict.max_attempts = 1;
    return strict;
  }();
  CoreHarness core{&store, options};
};

TEST_F(PlanStateTest, AGroupThatWasSetAsideTakesNoPlaceAlsoAfterARestart) {
  Open(MakeSpec("p", 1, 1, 2), 6);
  Return("a", core.LeaseWork("a", 1).at(0).id(), "failed");
  core.Commit();
  core.Restart();
  const auto leases = core.LeaseWork("b", 100);
  ASSERT_EQ(leases.size(), 2u) << "two batches are admitted";
  EXPECT_EQ(leases[0].item().group(), 1u);
}

TEST_F(PlanStateTest, TheQueueCountsWhatMayStartOnceForEachGroup) {
  Open(MakeSpec("p", 2, 1, 2), 5);
  core.LeaseWork("a", 1);  // group 0 has started, and a sample of it is missing
  const QueueCounts counts = core->CountQueue();
  EXPECT_EQ(counts.leasable, 2u) << "group 0, and one more may start";
  EXPECT_EQ(counts.held_back, 3u);
  EXPECT_EQ(counts.at_actors, 0u);
}

TEST_F(PlanStateTest, OnlyItsHolderReturnsALeaseAndThenOthersAreWoken) {
  Open(MakeSpec("p", 1, 1), 1);
  const uint64_t lease = core.LeaseWork("a", 1).at(0).id();
  Return("b", lease);
  EXPECT_EQ(core->ledger().outstanding(), 1u);
  core->TakeChanged();
  Return("a", lease);
  EXPECT_EQ(core->ledger().outstanding(), 0u);
  EXPECT_TRUE(core->TakeChanged() & kWorkChanged);
}

TEST_F(PlanStateTest, AReplyStaysBelowItsBoundOfBytes) {
  ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("p", 1, 20, 2))).ok());
  AppendGroupsRequest append = AppendRequest("p", 0, 20);
  for (WorkItem& item : *append.mutable_items()) {
    item.mutable_reference()->set_solution(std::string(900'000, 'x'));
  }
  ASSERT_TRUE(core->AppendGroups(append).ok());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  EXPECT_EQ(core.LeaseWork("a", 100).size(), 9u);  // 8 MiB
}

}  // namespace
}  // namespace reckon
