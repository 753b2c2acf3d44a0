// The plan client with a real coordinator in this process and fake actors.
#include "common/net/plan_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "common/net/channel.h"
#include "common/net/plan_run.h"
#include "common/testing/await.h"
#include "coordinator/service/server.h"
#include "tests/support/fake_actor.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

class PlanClientTest : public ::testing::Test {
 protected:
  void SetUp() override { Start("127.0.0.1:0"); }
  void TearDown() override {
    actors.clear();
    server.reset();
  }

  void Start(const std::string& listen, uint64_t max_resident_groups = 16384,
             CoordinatorSettings::Retention retention = CoordinatorSettings::ALL) {
    CoordinatorServer::Options options;
    options.core.run = "test";
    options.core.max_resident_groups = max_resident_groups;
    options.core.retention = retention;
    options.listen = listen;
    auto started = CoordinatorServer::Start(&store, options);
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    address = server->address();
    stub = Coordinator::NewStub(*MakeChannel(address, Security::PlainText()));
    client = std::make_unique<PlanClient>(stub.get(), 0, stop.get_token());
    MarkReply reply;
    grpc::ClientContext context;
    ASSERT_TRUE(stub->PublishWeights(&context, PublishRequest(0), &reply).ok());
  }
  void StartActors(int count) {
    for (int i = 0; i < count; ++i) {
      actors.push_back(std::make_unique<FakeActor>(address, "actor" + std::to_string(i)));
    }
  }
  static PlanSpec Pinned(const std::string& name, uint32_t samples, uint32_t groups,
                         uint32_t open) {
    PlanSpec spec = MakeSpec(name, samples, groups, open);
    spec.set_pinned_version(0);
    return spec;
  }
  static std::function<std::optional<WorkItem>()> Items(uint64_t count) {
    return [count, at = uint64_t{0}]() mutable -> std::optional<WorkItem> {
      if (at == count) return std::nullopt;
      return MakeItem(at++);
    };
  }
  uint64_t Stored() { return CountKeys(store, "r"); }

  MemoryStore store;
  std::stop_source stop;
  std::string address;
  std::unique_ptr<CoordinatorServer> server;
  std::unique_ptr<Coordinator::Stub> stub;
  std::unique_ptr<PlanClient> client;
  std::vector<std::unique_ptr<FakeActor>> actors;
};

TEST_F(PlanClientTest, RunHandsEveryGroupOnceAndInOrder) {
  StartActors(2);
  uint64_t next_group = 0, batches = 0;
  const absl::Status status =
      RunPlanToEnd(client.get(), Pinned("p", 3, 8, 3), 0, Items(101), [&](const Batch& batch) {
        EXPECT_EQ(batch.header.batch(), batches++);
        EXPECT_EQ(batch.rollouts.size() % 3, 0u);
        for (size_t i = 0; i < batch.rollouts.size(); ++i) {
          EXPECT_EQ(batch.rollouts[i].key().group(), next_group + i / 3);
          EXPECT_EQ(batch.rollouts[i].key().sample(), i % 3);
        }
        next_group += batch.rollouts.size() / 3;
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(next_group, 101u);
  EXPECT_EQ(batches, 13u);
  EXPECT_EQ(Stored(), 303u);
}

TEST_F(PlanClientTest, MarkDurableDeletesWhatIsNotRetained) {
  server.reset();
  Start("127.0.0.1:0", /*max_resident_groups=*/16384, CoordinatorSettings::SELECTED);
  StartActors(1);
  const auto ignore = [](const Batch&) { return absl::OkStatus(); };
  ASSERT_TRUE(RunPlanToEnd(client.get(), Pinned("p", 2, 4, 2), 0, Items(10), ignore).ok());
  EXPECT_EQ(Stored(), 20u);
  ASSERT_TRUE(client->MarkDurable("p", 2).ok());
  EXPECT_TRUE(Await([&] { return Stored() == 0; }));
}

TEST_F(PlanClientTest, RunOfAnEmptyPlanEnds) {
  int batches = 0;
  EXPECT_TRUE(RunPlanToEnd(client.get(), Pinned("p", 2, 4, 2), 0, Items(0), [&](const Batch&) {
                ++batches;
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(batches, 0);
}

TEST_F(PlanClientTest, AnInterruptedRunContinuesAndHandsEarlierBatchesAgain) {
  StartActors(2);
  int batches = 0;
  const absl::Status interrupted =
      RunPlanToEnd(client.get(), Pinned("p", 2, 4, 2), 0, Items(30), [&](const Batch&) {
        return ++batches == 4 ? absl::AbortedError("enough") : absl::OkStatus();
      });
  EXPECT_EQ(interrupted.code(), absl::StatusCode::kAborted);
  std::set<uint64_t> groups;
  const absl::Status resumed =
      RunPlanToEnd(client.get(), Pinned("p", 2, 4, 2), 0, Items(30), [&](const Batch& batch) {
        for (const Rollout& rollout : batch.rollouts) groups.insert(rollout.key().group());
        return absl::OkStatus();
      });
  EXPECT_TRUE(resumed.ok()) << resumed;
  EXPECT_EQ(groups.size(), 30u);
}

TEST_F(PlanClientTest, RunPassesAWindowSmallerThanItsBatch) {
  server.reset();
  Start("127.0.0.1:0", /*max_resident_groups=*/3);
  StartActors(1);
  uint64_t rollouts = 0;
  const absl::Status status =
      RunPlanToEnd(client.get(), Pinned("p", 1, 8, 2), 0, Items(40), [&](const Batch& batch) {
        rollouts += batch.rollouts.size();
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(rollouts, 40u);
}

TEST_F(PlanClientTest, RunSurvivesARestartOfTheCoordinator) {
  StartActors(2);
  uint64_t rollouts = 0;
  int batches = 0;
  const absl::Status status =
      RunPlanToEnd(client.get(), Pinned("p", 2, 4, 2), 0, Items(60), [&](const Batch& batch) {
        rollouts += batch.rollouts.size();
        if (++batches % 5 != 0) return absl::OkStatus();
        // The client keeps its channel, so only the server is made anew.
        server.reset();
        CoordinatorServer::Options options;
        options.core.run = "test";
        options.listen = address;
        auto started = CoordinatorServer::Start(&store, options);
        if (started.ok()) server = *std::move(started);
        return started.status();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(rollouts, 120u);
}

TEST_F(PlanClientTest, AStopEndsAWaitSoon) {
  ASSERT_TRUE(client->Open(Pinned("p", 1, 1, 1)).ok());
  // Asked after each second without a batch.
  const auto check = [&] {
    stop.request_stop();
    return absl::OkStatus();
  };
  EXPECT_EQ(client->NextHeader("p", 0, check).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(PlanClientTest, AWaitEndsWhenThePlanCannotContinue) {
  ASSERT_TRUE(client->Open(Pinned("p", 1, 1, 1)).ok());
  const auto check = [] { return absl::FailedPreconditionError("every actor refuses"); };
  EXPECT_EQ(client->NextHeader("p", 0, check).status().message(), "every actor refuses");
  EXPECT_EQ(RunPlanToEnd(
                client.get(), Pinned("q", 1, 1, 1), 0, Items(1),
                [](const Batch&) { return absl::OkStatus(); }, check)
                .message(),
            "every actor refuses");
}

TEST_F(PlanClientTest, AnAppendToAFullWindowEndsWhenThePlanCannotContinue) {
  server.reset();
  Start("127.0.0.1:0", /*max_resident_groups=*/1);
  ASSERT_TRUE(client->Open(Pinned("p", 1, 1, 1)).ok());
  const auto check = [] { return absl::FailedPreconditionError("every actor refuses"); };
  EXPECT_EQ(client->Append("p", 0, {MakeItem(0), MakeItem(1)}, true, check).message(),
            "every actor refuses");
}

TEST_F(PlanClientTest, APlanWhoseGroupsAreAllSetAsideEndsWithTheLastError) {
  std::jthread actor([&](const std::stop_token& ended) {
    const auto own = Coordinator::NewStub(*MakeChannel(address, Security::PlainText()));
    while (!ended.stop_requested()) {
      LeaseRequest lease;
      lease.set_actor("a");
      lease.set_max_samples(100);
      lease.set_wait_ms(100);
      LeaseReply leases;
      ReturnLeasesRequest give;
      give.set_actor("a");
      give.set_error("the item is too long");
      ReturnLeasesReply returned;
      grpc::ClientContext first, second;
      if (!own->Lease(&first, lease, &leases).ok()) continue;
      for (const Lease& held : leases.leases()) give.add_leases(held.id());
      own->ReturnLeases(&second, give, &returned);
    }
  });
  std::vector<uint64_t> aside;
  const absl::Status status =
      RunPlanToEnd(client.get(), Pinned("p", 1, 4, 1), 0, Items(6), [&](const Batch& batch) {
        for (uint64_t group : batch.header.set_aside()) aside.push_back(group);
        return absl::OkStatus();
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "plan 'p': all 6 groups were set aside; the last error: the item is too long");
  EXPECT_EQ(aside.size(), 6u);
}

TEST_F(PlanClientTest, ErrorsThatARetryCannotCureAreReturnedAtOnce) {
  EXPECT_EQ(client->Append("none", 0, {MakeItem(0)}, false).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client->Fetch({MakeRollout("p", 0, 0, 0).key()}).status().code(),
            absl::StatusCode::kNotFound);
  PlanClient stale(stub.get(), 7, stop.get_token());
  EXPECT_EQ(stale.Open(Pinned("p", 1, 1, 1)).status().code(), absl::StatusCode::kAborted);
}

TEST_F(PlanClientTest, AppendSendsManyItemsInPieces) {
  ASSERT_TRUE(client->Open(Pinned("p", 1, 1, 1)).ok());
  std::vector<WorkItem> items;
  for (uint64_t group = 0; group < 300; ++group) items.push_back(MakeItem(group));
  ASSERT_TRUE(client->Append("p", 0, items, true).ok());
  const auto opened = client->Open(Pinned("p", 1, 1, 1));
  EXPECT_EQ(opened->appended_groups(), 300);
  EXPECT_TRUE(opened->end_of_plan());
}

TEST_F(PlanClientTest, AnIncompleteSelectionIsNotRead) {
  StartActors(1);
  ASSERT_TRUE(RunPlanToEnd(client.get(), Pinned("p", 2, 4, 2), 0, Items(4), [](const Batch&) {
                return absl::OkStatus();
              }).ok());
  AppendSelectionRequest selection;
  selection.set_name("s");
  *selection.add_keys() = MakeRollout("p", 2, 1, 0).key();
  ASSERT_TRUE(client->AppendSelection(selection).ok());
  std::vector<RolloutKey> keys;
  const auto collect = [&](const std::vector<RolloutKey>& run) {
    keys.insert(keys.end(), run.begin(), run.end());
  };
  EXPECT_EQ(client->ReadSelection("s", collect).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(keys.empty());
  selection.set_complete(true);
  ASSERT_TRUE(client->AppendSelection(selection).ok());
  ASSERT_TRUE(client->ReadSelection("s", collect).ok());
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].group(), 2u);
}

}  // namespace
}  // namespace reckon
