#include "actor/uplink/uplink.h"

#include <atomic>
#include <stop_token>
#include <thread>

#include "absl/time/clock.h"
#include "common/testing/await.h"
#include "gtest/gtest.h"
#include "tests/support/core_harness.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {
namespace {

class UplinkTest : public testing::Test {
 protected:
  static constexpr int kGroups = 50;

  // One plan whose samples are all leased.
  UplinkTest() {
    coordinator_.Publish(MakeManifest(0));
    std::vector<WorkItem> items;
    for (int group = 0; group < kGroups; ++group) items.push_back(MakeItem(group));
    coordinator_.AddPlan(MakeSpec("p", 1, kGroups), std::move(items));
    leases_ = coordinator_.LeaseWork("a", kGroups);
    EXPECT_EQ(leases_.size(), size_t{kGroups});
  }

  bool Push(Uplink* uplink, uint64_t group, const std::stop_token& stop = {}) {
    return uplink->Push(leases_.at(group).id(), MakeRollout("p", group, 0, 0), stop);
  }
  FaultInjector& faults() { return coordinator_.faults(); }

  InProcessCoordinator coordinator_;
  std::shared_ptr<Coordinator::StubInterface> stub_ = coordinator_.NewStub();
  std::vector<Lease> leases_;
  std::atomic<int> woken_ = 0;
};

TEST_F(UplinkTest, CarriesRolloutsAndHandsOutAcknowledgements) {
  Uplink uplink(stub_.get(), "a", {}, [this] { ++woken_; });
  for (uint64_t group = 0; group < kGroups; ++group) ASSERT_TRUE(Push(&uplink, group));
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(faults().received().size(), size_t{kGroups});
  EXPECT_EQ(faults().calls("Submit"), 1);
  const std::vector<Uplink::Ack> acks = uplink.TakeAcks();
  ASSERT_EQ(acks.size(), size_t{kGroups});
  for (uint64_t group = 0; group < kGroups; ++group) {
    EXPECT_EQ(acks[group].lease, leases_[group].id());
    EXPECT_EQ(acks[group].ack.outcome(), SubmitReply::Ack::ACCEPTED);
  }
  EXPECT_TRUE(uplink.TakeAcks().empty());
  EXPECT_TRUE(Await([this] { return woken_ > 0; }));
}

TEST_F(UplinkTest, SendsAgainWhatABrokenStreamDidNotAcknowledge) {
  faults().BreakStreamAfter(7);
  Uplink uplink(stub_.get(), "a", {}, [] {});
  for (uint64_t group = 0; group < 30; ++group) ASSERT_TRUE(Push(&uplink, group));
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(faults().calls("Submit"), 2);
  EXPECT_EQ(faults().received().size(), 30u);
  EXPECT_EQ(faults().copies({"p", 7, 0}), 2);
  int duplicates = 0, acks = 0;
  for (const Uplink::Ack& ack : uplink.TakeAcks()) {
    ++acks;
    duplicates += ack.ack.outcome() == SubmitReply::Ack::DUPLICATE;
  }
  EXPECT_EQ(acks, 30);
  EXPECT_GE(duplicates, 1);
}

TEST_F(UplinkTest, SurvivesACoordinatorThatRestarts) {
  coordinator_.Stop();
  Uplink uplink(stub_.get(), "a", {}, [] {});
  for (uint64_t group = 0; group < 5; ++group) ASSERT_TRUE(Push(&uplink, group));
  ASSERT_TRUE(Await([this] { return faults().calls("Submit") >= 2; }));
  EXPECT_EQ(uplink.unacknowledged(), 5u);
  coordinator_.Start();
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  coordinator_.Stop();
  ASSERT_TRUE(Push(&uplink, 5));
  coordinator_.Start();
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_EQ(faults().received().size(), 6u);
}

TEST_F(UplinkTest, WhatWaitsIsSentInMessagesOfBoundedSize) {
  for (const size_t bytes : {size_t{1}, size_t{1} << 20}) {
    coordinator_.Stop();
    Uplink::Options options;
    options.message_bytes = bytes;
    Uplink uplink(stub_.get(), "a", options, [] {});
    for (uint64_t group = 0; group < 10; ++group) ASSERT_TRUE(Push(&uplink, group));
    coordinator_.Start();
    ASSERT_TRUE(uplink.Flush(kPatience));
    EXPECT_EQ(faults().largest_message(), bytes == 1 ? 1 : 10);
    EXPECT_EQ(uplink.TakeAcks().size(), 10u);
  }
}

TEST_F(UplinkTest, KeepsNoMoreThanItsWindow) {
  faults().DropAcks(true);
  Uplink::Options options;
  options.window = 3;
  Uplink uplink(stub_.get(), "a", options, [] {});
  for (uint64_t group = 0; group < 3; ++group) ASSERT_TRUE(Push(&uplink, group));
  // A push that does not wait for room would succeed, whatever is stopped.
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(Push(&uplink, 3, stop.get_token()));
  EXPECT_EQ(uplink.unacknowledged(), 3u);
}

TEST_F(UplinkTest, OpensANewStreamWhenOneGoesSilent) {
  faults().DropAcks(true);
  Uplink::Options options;
  options.ack_timeout = absl::Milliseconds(100);
  Uplink uplink(stub_.get(), "a", options, [] {});
  ASSERT_TRUE(Push(&uplink, 0));
  ASSERT_TRUE(Await([this] { return faults().received().size() == 1; }));
  faults().DropAcks(false);
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  EXPECT_GE(faults().calls("Submit"), 2);
}

TEST_F(UplinkTest, TheSameSampleUnderANewLeaseReplacesTheOldOne) {
  coordinator_.Stop();
  Uplink uplink(stub_.get(), "a", {}, [] {});
  const Rollout rollout = MakeRollout("p", 4, 0, 0);
  ASSERT_TRUE(uplink.Push(1, rollout, {}));
  ASSERT_TRUE(uplink.Push(2, rollout, {}));
  EXPECT_EQ(uplink.unacknowledged(), 1u);
  coordinator_.Start();
  ASSERT_TRUE(uplink.Flush(absl::Seconds(10)));
  const std::vector<Uplink::Ack> acks = uplink.TakeAcks();
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].lease, 2u);
}

}  // namespace
}  // namespace reckon
