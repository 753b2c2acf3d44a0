#include "actor/lease/lease_client.h"

#include <atomic>

#include "absl/time/clock.h"
#include "actor/fake_coordinator.h"
#include "common/net/channel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LeaseClientTest : public testing::Test {
 protected:
  void Give(uint64_t id, int samples, uint32_t expires_in_ms = 200) {
    Lease lease;
    lease.set_lease(id);
    lease.set_plan("p");
    lease.set_expires_in_ms(expires_in_ms);
    for (int i = 0; i < samples; ++i) lease.add_samples(i);
    PlanSpec plan;
    plan.set_name("p");
    coordinator_.AddLease(lease, plan);
  }
  // Waits for `count` leases in all.
  std::vector<LeasedWork> TakeLeases(LeaseClient* client, size_t count) {
    std::vector<LeasedWork> taken;
    coordinator_.Await([&] {
      for (LeasedWork& work : client->Take().leases) taken.push_back(std::move(work));
      return taken.size() >= count;
    });
    return taken;
  }

  FakeCoordinator coordinator_;
  std::unique_ptr<Coordinator::Stub> stub_ =
      Coordinator::NewStub(MakeChannel(coordinator_.address()));
};

TEST_F(LeaseClientTest, AsksForWhatIsWantedAndNoMore) {
  LeaseClient client(stub_.get(), "a", [] {});
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_TRUE(coordinator_.lease_requests().empty());
  Give(1, 3);
  Give(2, 3);
  Give(3, 3);
  client.Want(5, 7);
  const std::vector<LeasedWork> work = TakeLeases(&client, 2);
  ASSERT_EQ(work.size(), 2u);
  EXPECT_EQ(work[0].plan->name(), "p");
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(client.Take().leases.empty());
  const std::vector<LeaseRequest> requests = coordinator_.lease_requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].actor(), "a");
  EXPECT_EQ(requests[0].max_samples(), 5u);
  EXPECT_EQ(requests[0].held_version(), 7u);
}

TEST_F(LeaseClientTest, RenewsWhatItHoldsAndReportsWhatIsLost) {
  LeaseClient client(stub_.get(), "a", [] {});
  Give(1, 1);
  Give(2, 1);
  Give(3, 1);
  client.Want(3, 0);
  ASSERT_EQ(TakeLeases(&client, 3).size(), 3u);
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.renewals(1) >= 2; }));
  client.Forget(3);
  coordinator_.Lose(2);
  std::vector<uint64_t> lost;
  ASSERT_TRUE(coordinator_.Await([&] {
    for (uint64_t lease : client.Take().lost) lost.push_back(lease);
    return !lost.empty();
  }));
  EXPECT_THAT(lost, ElementsAre(2));
  const int of_2 = coordinator_.renewals(2), of_3 = coordinator_.renewals(3);
  const int of_1 = coordinator_.renewals(1);
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.renewals(1) >= of_1 + 2; }));
  EXPECT_EQ(coordinator_.renewals(2), of_2);
  EXPECT_EQ(coordinator_.renewals(3), of_3);
}

TEST_F(LeaseClientTest, ReportsFailuresAndReturnsTheRestAtTheEnd) {
  LeaseClient client(stub_.get(), "a", [] {});
  for (uint64_t id : {1, 2, 3}) Give(id, 1, 60000);
  client.Want(3, 0);
  ASSERT_EQ(TakeLeases(&client, 3).size(), 3u);
  client.Return(1, absl::InvalidArgumentError("too long"));
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.returned().size() == 1; }));
  EXPECT_THAT(coordinator_.returned()[1], HasSubstr("too long"));
  client.Forget(2);
  client.Want(1, 0);  // a question is under way while stopping
  client.ReturnAll(absl::Seconds(3));
  EXPECT_EQ(coordinator_.returned().size(), 2u);
  EXPECT_EQ(coordinator_.returned()[3], "");
}

TEST_F(LeaseClientTest, OutlivesACoordinatorThatIsAway) {
  coordinator_.StopServer();
  LeaseClient client(stub_.get(), "a", [] {});
  client.Want(1, 0);
  client.Return(9, absl::InternalError("failed before"));
  absl::SleepFor(absl::Milliseconds(150));
  coordinator_.StartServer();
  Give(1, 1);
  EXPECT_EQ(TakeLeases(&client, 1).size(), 1u);
  EXPECT_TRUE(coordinator_.Await([&] { return coordinator_.returned().count(9) == 1; }));
}

TEST_F(LeaseClientTest, EndsAtOnceWhenTheCoordinatorIsAway) {
  coordinator_.StopServer();
  const absl::Time begin = absl::Now();
  {
    LeaseClient client(stub_.get(), "a", [] {});
    client.Want(1, 0);
    absl::SleepFor(absl::Milliseconds(50));
    client.ReturnAll(absl::Seconds(1));
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3));
}

}  // namespace
}  // namespace reckon
