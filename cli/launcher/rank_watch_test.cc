#include "cli/launcher/rank_watch.h"

#include "absl/strings/str_cat.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {
namespace {

class RankWatchTest : public ::testing::Test {
 protected:
  void BeatOnce(uint64_t term) {
    HeartbeatRequest request;
    request.set_term(term);
    request.set_host("node-7");
    HeartbeatReply reply;
    grpc::ClientContext context;
    ASSERT_TRUE(coordinator.NewStub()->Heartbeat(&context, request, &reply).ok());
  }

  InProcessCoordinator coordinator;
};

TEST_F(RankWatchTest, NamesARankOfTheNewGroupThatIsSilentAndNoneOfAnOlder) {
  BeatOnce(coordinator.BeginTerm());
  // Negative, so that the five seconds that other ranks have are over at once.
  RankWatch watch(coordinator.NewStub(), absl::Seconds(-5));
  watch.NewGroup();
  const int calls = coordinator.faults().calls("GetStatus");
  ASSERT_TRUE(Await([&] { return coordinator.faults().calls("GetStatus") > calls + 1; }));
  EXPECT_EQ(watch.Trouble(), "") << "a rank of the group before";
  BeatOnce(coordinator.BeginTerm());
  ASSERT_TRUE(Await([&] { return !watch.Trouble().empty(); }));
  EXPECT_THAT(watch.Trouble(), ::testing::StartsWith("rank 0 on node-7 has not been heard of for"));
  watch.NewGroup();
  EXPECT_EQ(watch.Trouble(), "");
}

}  // namespace
}  // namespace reckon
