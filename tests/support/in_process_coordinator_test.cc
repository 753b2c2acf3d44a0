#include "tests/support/in_process_coordinator.h"

#include "common/net/channel.h"
#include "common/testing/await.h"
#include "gtest/gtest.h"
#include "tests/support/fake_actor.h"

namespace reckon {
namespace {

class InProcessCoordinatorTest : public testing::Test {
 protected:
  absl::Status AskStatus() {
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    GetStatusReply reply;
    return FromGrpc(stub_->GetStatus(&context, {}, &reply));
  }

  InProcessCoordinator coordinator_;
  std::shared_ptr<Coordinator::StubInterface> stub_ = coordinator_.NewStub();
};

TEST_F(InProcessCoordinatorTest, FailsTheCallItIsToldTo) {
  coordinator_.faults().FailCall("GetStatus", 2, absl::AbortedError("told to"));
  EXPECT_TRUE(AskStatus().ok());
  EXPECT_EQ(AskStatus(), absl::AbortedError("told to"));
  EXPECT_TRUE(AskStatus().ok());
  EXPECT_EQ(coordinator_.faults().calls("GetStatus"), 3);
  // The failed one reached the coordinator.
  EXPECT_EQ(coordinator_.faults().answered<GetStatusRequest>("GetStatus").size(), 3u);
}

TEST_F(InProcessCoordinatorTest, DelaysCalls) {
  coordinator_.faults().DelayCalls("GetStatus", absl::Milliseconds(50));
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(AskStatus().ok());
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(50));
}

TEST_F(InProcessCoordinatorTest, KeepsItsStoreOverARestart) {
  coordinator_.Publish(MakeManifest(0));
  coordinator_.AddPlan(MakeSpec("p", 2, 4), {MakeItem(0), MakeItem(1)});
  FakeActor actor(coordinator_.address(), "a");
  ASSERT_TRUE(Await([&] { return actor.acknowledged().size() == 4; }));
  coordinator_.Stop();
  EXPECT_FALSE(AskStatus().ok());
  coordinator_.Start();
  EXPECT_EQ(coordinator_.status().ledger().accepted(), 4u);
  EXPECT_EQ(coordinator_.BeginTerm(), 1u);
  EXPECT_EQ(coordinator_.BeginTerm(), 2u);
}

}  // namespace
}  // namespace reckon
