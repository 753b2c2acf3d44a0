#include "actor/uplink/uplink.h"

#include <atomic>

#include "absl/time/clock.h"
#include "actor/fake_coordinator.h"
#include "common/net/channel.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

Rollout MakeRollout(uint64_t group, uint32_t sample = 0) {
  Rollout rollout;
  rollout.mutable_key()->set_plan("p");
  rollout.mutable_key()->set_group(group);
  rollout.mutable_key()->set_sample(sample);
  rollout.set_completion("text");
  return rollout;
}

class UplinkTest : public testing::Test {
 protected:
  bool Push(Uplink* uplink, uint64_t group) {
    return uplink->Push(group, MakeRollout(group), absl::Seconds(5));
  }

  FakeCoordinator coordinator_;
  std::unique_ptr<Coordinator::Stub> stub_ =
      Coordinator::NewStub(MakeChannel(coordinator_.address()));
  std::atomic<int> woken_ = 0;
};

TEST_F(UplinkTest, CarriesRolloutsAndHandsOutAcknowledgements) {
  Uplink uplink(stub_.get(), "a", {}, [this] { ++woken_; });
  for (uint64_t group = 0; group < 50; ++group) ASSERT_TRUE(Push(&uplink, group));
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(coordinator_.received().size(), 50u);
  EXPECT_EQ(coordinator_.streams(), 1);
  const std::vector<Uplink::Ack> acks = uplink.TakeAcks();
  ASSERT_EQ(acks.size(), 50u);
  for (uint64_t group = 0; group < 50; ++group) {
    EXPECT_EQ(acks[group].lease, group);
    EXPECT_EQ(acks[group].ack.outcome(), SubmitReply::Ack::ACCEPTED);
  }
  EXPECT_TRUE(uplink.TakeAcks().empty());
  EXPECT_TRUE(coordinator_.Await([this] { return woken_ > 0; }));
}

TEST_F(UplinkTest, SendsAgainWhatABrokenStreamDidNotAcknowledge) {
  coordinator_.BreakStreamAfter(7);
  Uplink uplink(stub_.get(), "a", {}, [] {});
  for (uint64_t group = 0; group < 30; ++group) ASSERT_TRUE(Push(&uplink, group));
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(coordinator_.streams(), 2);
  EXPECT_EQ(coordinator_.received().size(), 30u);
  EXPECT_EQ(coordinator_.copies({"p", 7, 0}), 2);
  int duplicates = 0, acks = 0;
  for (const Uplink::Ack& ack : uplink.TakeAcks()) {
    ++acks;
    duplicates += ack.ack.outcome() == SubmitReply::Ack::DUPLICATE;
  }
  EXPECT_EQ(acks, 30);
  EXPECT_GE(duplicates, 1);
}

TEST_F(UplinkTest, OutlivesACoordinatorThatRestarts) {
  coordinator_.StopServer();
  Uplink uplink(stub_.get(), "a", {}, [] {});
  for (uint64_t group = 0; group < 5; ++group) ASSERT_TRUE(Push(&uplink, group));
  absl::SleepFor(absl::Milliseconds(150));
  EXPECT_EQ(uplink.unacknowledged(), 5u);
  coordinator_.StartServer();
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  coordinator_.StopServer();
  ASSERT_TRUE(Push(&uplink, 5));
  coordinator_.StartServer();
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(coordinator_.received().size(), 6u);
}

TEST_F(UplinkTest, KeepsNoMoreThanItsWindow) {
  coordinator_.HoldAcks(true);
  Uplink::Options options;
  options.window = 3;
  Uplink uplink(stub_.get(), "a", options, [] {});
  for (uint64_t group = 0; group < 3; ++group) ASSERT_TRUE(Push(&uplink, group));
  EXPECT_FALSE(uplink.Push(3, MakeRollout(3), absl::Milliseconds(30)));
  EXPECT_EQ(uplink.unacknowledged(), 3u);
}

TEST_F(UplinkTest, OpensANewStreamWhenOneGoesSilent) {
  coordinator_.HoldAcks(true);
  Uplink::Options options;
  options.ack_timeout = absl::Milliseconds(100);
  Uplink uplink(stub_.get(), "a", options, [] {});
  ASSERT_TRUE(Push(&uplink, 0));
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.received().size() == 1; }));
  coordinator_.HoldAcks(false);
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(coordinator_.streams(), 2);
}

TEST_F(UplinkTest, TheSameSampleUnderANewLeaseTakesTheOldOnesPlace) {
  coordinator_.StopServer();
  Uplink uplink(stub_.get(), "a", {}, [] {});
  ASSERT_TRUE(uplink.Push(1, MakeRollout(4), absl::Seconds(1)));
  ASSERT_TRUE(uplink.Push(2, MakeRollout(4), absl::Seconds(1)));
  EXPECT_EQ(uplink.unacknowledged(), 1u);
  coordinator_.StartServer();
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  const std::vector<Uplink::Ack> acks = uplink.TakeAcks();
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].lease, 2u);
}

}  // namespace
}  // namespace reckon
