#include "actor/lease/lease_client.h"

#include "absl/time/clock.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/core_harness.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CoreOptions LeaseTestOptions() {
  CoreOptions options;
  options.lease = absl::Milliseconds(1500);
  options.max_attempts = 1;  // a lease that failed is not leased again
  return options;
}

class LeaseClientTest : public testing::Test {
 protected:
  LeaseClientTest() { coordinator_.Publish(MakeManifest(0)); }

  // Adds a plan of one group. The first lease has id 1, the next 2 and so on.
  void AddGroup(const std::string& plan, uint32_t samples) {
    coordinator_.AddPlan(MakeSpec(plan, samples, 1), {MakeItem(0)});
  }
  // Waits for `count` leases.
  std::vector<GrantedLease> TakeLeases(LeaseClient* client, size_t count) {
    std::vector<GrantedLease> taken;
    Await([&] {
      for (GrantedLease& lease : client->TakeUpdates().granted) taken.push_back(std::move(lease));
      return taken.size() >= count;
    });
    return taken;
  }
  int calls(const std::string& verb) { return coordinator_.faults().calls(verb); }

  InProcessCoordinator coordinator_{LeaseTestOptions()};
  std::shared_ptr<Coordinator::StubInterface> stub_ = coordinator_.NewStub();
};

TEST_F(LeaseClientTest, AsksForItsDemandAndNoMore) {
  LeaseClient client(stub_.get(), "a", [] {});
  AddGroup("a", 3);
  AddGroup("b", 2);
  AddGroup("c", 3);
  client.SetDemand(5, 7);
  const std::vector<GrantedLease> leases = TakeLeases(&client, 2);
  ASSERT_EQ(leases.size(), 2u);
  EXPECT_EQ(leases[0].plan->name(), "a");
  // After another report no call that asked for samples is on its way.
  ActorReport report;
  report.set_waiting_for("nothing more");
  client.SetReport(report);
  std::vector<LeaseRequest> requests;
  ASSERT_TRUE(Await([&] {
    requests = coordinator_.faults().answered<LeaseRequest>("Lease");
    return !requests.empty() && requests.back().report().waiting_for() == "nothing more";
  }));
  EXPECT_TRUE(client.TakeUpdates().granted.empty());
  std::erase_if(requests, [](const LeaseRequest& request) { return request.max_samples() == 0; });
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].actor(), "a");
  EXPECT_EQ(requests[0].max_samples(), 5u);
  EXPECT_EQ(requests[0].held_version(), 7u);
}

TEST_F(LeaseClientTest, ReportsWithoutDemandAndUntilTheCoordinatorHasIt) {
  coordinator_.faults().FailCall("Lease", 1, absl::UnavailableError("lost"));
  LeaseClient client(stub_.get(), "a", [] {});
  ActorReport report;
  report.set_refused_version(2);
  report.set_refused_because("cut in a character: " + std::string(3000, 'x') + "\xc3");
  client.SetReport(report);
  ASSERT_TRUE(Await([&] {
    const GetStatusReply status = coordinator_.status();
    return status.actors_size() == 1 && status.actors(0).report().refused_version() == 2;
  }));
  EXPECT_EQ(coordinator_.status().actors(0).report().refused_because().size(), 1000u);
  // It is heard of again without news, by which the coordinator knows that it lives.
  const int before = calls("Lease");
  EXPECT_TRUE(Await([&] { return calls("Lease") >= before + 2; }));
}

TEST_F(LeaseClientTest, RenewsWhatItHoldsAndReportsWhatIsRevoked) {
  LeaseClient client(stub_.get(), "a", [] {});
  for (const char* plan : {"a", "b", "c"}) AddGroup(plan, 1);
  client.SetDemand(3, 0);
  ASSERT_EQ(TakeLeases(&client, 3).size(), 3u);
  ASSERT_TRUE(Await([&] { return coordinator_.renewals(1) >= 2; }));
  client.Complete(3);
  coordinator_.ClosePlan("b");  // drops lease 2
  std::vector<uint64_t> revoked;
  ASSERT_TRUE(Await([&] {
    for (uint64_t lease : client.TakeUpdates().revoked) revoked.push_back(lease);
    return !revoked.empty();
  }));
  EXPECT_THAT(revoked, ElementsAre(2));
  const int of_2 = coordinator_.renewals(2), of_3 = coordinator_.renewals(3);
  const int of_1 = coordinator_.renewals(1);
  ASSERT_TRUE(Await([&] { return coordinator_.renewals(1) >= of_1 + 2; }));
  EXPECT_EQ(coordinator_.renewals(2), of_2);
  EXPECT_EQ(coordinator_.renewals(3), of_3);
}

TEST_F(LeaseClientTest, ReportsFailuresAndReturnsTheRestAtTheEnd) {
  LeaseClient client(stub_.get(), "a", [] {});
  for (const char* plan : {"a", "b", "c"}) AddGroup(plan, 1);
  client.SetDemand(3, 0);
  ASSERT_EQ(TakeLeases(&client, 3).size(), 3u);
  client.Return(1, absl::InvalidArgumentError("too long"));
  ASSERT_TRUE(Await([&] { return coordinator_.returned().size() == 1; }));
  EXPECT_THAT(coordinator_.returned()[1], HasSubstr("too long"));
  client.Complete(2);
  client.SetDemand(1, 0);  // a Lease call runs when the client stops
  client.ReturnAll(absl::Minutes(2));
  EXPECT_EQ(coordinator_.returned().size(), 2u);
  EXPECT_EQ(coordinator_.returned()[3], "");
}

TEST_F(LeaseClientTest, SurvivesACoordinatorThatIsAway) {
  coordinator_.Stop();
  LeaseClient client(stub_.get(), "a", [] {});
  client.SetDemand(1, 0);
  client.Return(9, absl::InternalError("failed before"));
  ASSERT_TRUE(Await([&] { return calls("Lease") >= 2 && calls("ReturnLeases") >= 2; }));
  coordinator_.Start();
  AddGroup("a", 1);
  EXPECT_EQ(TakeLeases(&client, 1).size(), 1u);
  EXPECT_TRUE(Await([&] { return coordinator_.returned().count(9) == 1; }));
}

TEST_F(LeaseClientTest, EndsAtOnceWhenTheCoordinatorIsAway) {
  coordinator_.Stop();
  const absl::Time begin = absl::Now();
  {
    LeaseClient client(stub_.get(), "a", [] {});
    client.SetDemand(1, 0);
    EXPECT_TRUE(Await([&] { return calls("Lease") >= 1; }));
    client.ReturnAll(absl::Seconds(1));
  }
  EXPECT_LT(absl::Now() - begin, absl::Minutes(2));
}

}  // namespace
}  // namespace reckon
