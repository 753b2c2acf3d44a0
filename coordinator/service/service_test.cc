#include "coordinator/service/service.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_actor.h"
#include "tests/support/service_harness.h"

namespace reckon {
namespace {

TEST_F(ServiceTest, AFinishedPlanIsListedWhenItIsAskedFor) {
  Open(MakeSpec("a", 1, 1), 0, true);
  Open(MakeSpec("b", 1, 1), 0, false);
  ClosePlanRequest close;
  close.set_plan("a");
  MarkReply marked;
  ASSERT_TRUE(Call(&Coordinator::Stub::ClosePlan, close, &marked).ok());
  ASSERT_TRUE(Await([&] { return GetStatus().plans_size() == 1; }));
  GetStatusRequest request;
  request.set_finished_plans(true);
  GetStatusReply all;
  ASSERT_TRUE(Call(&Coordinator::Stub::GetStatus, request, &all).ok());
  ASSERT_EQ(all.plans_size(), 2);
  EXPECT_EQ(all.plans(0).name(), "a");
  EXPECT_TRUE(all.plans(0).closed());
  EXPECT_FALSE(all.plans(1).closed());
  EXPECT_EQ(all.plans(0).spec().samples_per_group(), MakeSpec("a", 1, 1).samples_per_group());
  EXPECT_EQ(all.plans(1).spec().name(), "b");
}

TEST_F(ServiceTest, ReadingFinishedPlansHoldsUpNoOtherReply) {
  Open(MakeSpec("a", 1, 1), 0, true);
  store.SetOpen(false);
  std::thread publisher([&] { EXPECT_TRUE(Publish(0).ok()); });
  EXPECT_TRUE(Await([&] { return store.held() == 1; }));
  store.SetScansOpen(false);
  GetStatusReply all;
  std::thread reader([&] {
    GetStatusRequest request;
    request.set_finished_plans(true);
    EXPECT_TRUE(Call(&Coordinator::Stub::GetStatus, request, &all).ok());
  });
  // The thread of the commit that is under way will send the reply, but does not read for it.
  EXPECT_TRUE(Await([&] { return store.held() == 2; }));
  store.SetOpen(true);
  publisher.join();
  Open(MakeSpec("b", 1, 1), 0, true);
  store.SetScansOpen(true);
  reader.join();
  ASSERT_EQ(all.plans_size(), 2);
  EXPECT_EQ(all.plans(1).spec().name(), "b") << "which was opened after the plans were read";
}

TEST_F(ServiceTest, APlanRunsFromItsItemsToItsRollouts) {
  Open(MakeSpec("p", 3, 4), 8, true);
  ASSERT_TRUE(Publish(0).ok());
  FakeActor a(server->address(), "a"), b(server->address(), "b");
  for (uint64_t batch = 0; batch < 2; ++batch) {
    NextBatchRequest request = BatchRequest("p", batch);
    request.set_wait_ms(10000);
    NextBatchReply reply;
    ASSERT_TRUE(Call(&Coordinator::Stub::NextBatch, request, &reply).ok());
    ASSERT_EQ(reply.header().rollouts_size(), 12);
    FetchRolloutsRequest fetch;
    for (const auto& rollout : reply.header().rollouts()) *fetch.add_keys() = rollout.key();
    grpc::ClientContext context;
    auto reader = stub->FetchRollouts(&context, fetch);
    FetchRolloutsReply part;
    int at = 0;
    while (reader->Read(&part)) {
      for (const std::string& bytes : part.rollouts()) {
        Rollout rollout;
        ASSERT_TRUE(rollout.ParseFromString(bytes));
        EXPECT_EQ(rollout.key().SerializeAsString(), fetch.keys(at++).SerializeAsString());
      }
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_EQ(at, 12);
    MarkReply mark;
    ASSERT_TRUE(Call(&Coordinator::Stub::MarkApplied, AppliedRequest("p", batch, 0), &mark).ok());
  }
  NextBatchReply reply;
  ASSERT_TRUE(Call(&Coordinator::Stub::NextBatch, BatchRequest("p", 2), &reply).ok());
  EXPECT_TRUE(reply.end_of_plan());
  a.Stop();
  b.Stop();
  EXPECT_EQ(a.acknowledged().size() + b.acknowledged().size(), 24u);
  const Ledger ledger = GetLedger();
  EXPECT_EQ(ledger.accepted(), 24);
  EXPECT_TRUE(CheckLedger(ledger).ok());
}

TEST_F(ServiceTest, ErrorsCarryTheirCodeAndChangeNothing) {
  OpenPlanReply opened;
  EXPECT_EQ(Call(&Coordinator::Stub::OpenPlan, OpenRequest(MakeSpec("p", 0, 1)), &opened).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Call(&Coordinator::Stub::OpenPlan, OpenRequest(MakeSpec("p", 1, 1), 9), &opened).code(),
            absl::StatusCode::kAborted);
  NextBatchReply batch;
  EXPECT_EQ(Call(&Coordinator::Stub::NextBatch, BatchRequest("p", 0), &batch).code(),
            absl::StatusCode::kNotFound);
  LeaseReply lease;
  EXPECT_EQ(Call(&Coordinator::Stub::Lease, WantLease("", 1), &lease).code(),
            absl::StatusCode::kInvalidArgument);
  GetStatusReply status;
  ASSERT_TRUE(Call(&Coordinator::Stub::GetStatus, GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.plans_size(), 0);
  FetchRolloutsRequest fetch;
  *fetch.add_keys() = MakeRollout("p", 0, 0, 0).key();
  grpc::ClientContext context;
  FetchRolloutsReply part;
  auto reader = stub->FetchRollouts(&context, fetch);
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServiceTest, AHundredMayWaitWhileOthersAreServed) {
  std::atomic<int> answered = 0, leased = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([&, i] {
      LeaseRequest request = WantLease("a" + std::to_string(i), 1);
      request.set_wait_ms(30000);
      LeaseReply reply;
      EXPECT_TRUE(Call(&Coordinator::Stub::Lease, request, &reply).ok());
      leased += reply.leases_size();
      ++answered;
    });
  }
  ASSERT_TRUE(Await([&] { return GetStatus().actors_size() == 100; }, absl::Minutes(1)));
  EXPECT_EQ(answered, 0);
  ASSERT_TRUE(Publish(0).ok());
  Open(MakeSpec("p", 1, 100), 100, true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(leased, 100);
}

TEST_F(ServiceTest, WaitsEndByThemselvesOrWithWhatTheyWaitFor) {
  GetManifestRequest request;
  GetManifestReply reply;
  request.set_wait_ms(50);
  ASSERT_TRUE(Call(&Coordinator::Stub::GetManifest, request, &reply).ok());
  EXPECT_FALSE(reply.has_manifest());
  request.set_wait_ms(15000);
  std::thread publisher([&] { EXPECT_TRUE(Publish(4).ok()); });
  ASSERT_TRUE(Call(&Coordinator::Stub::GetManifest, request, &reply).ok());
  EXPECT_EQ(reply.manifest().version(), 4);
  publisher.join();

  std::thread setter([&] {
    RendezvousRequest set;
    set.set_op(RendezvousRequest::SET);
    set.add_keys("k");
    set.set_value("v");
    RendezvousReply done;
    EXPECT_TRUE(Call(&Coordinator::Stub::Rendezvous, set, &done).ok());
  });
  RendezvousRequest get;
  get.set_op(RendezvousRequest::GET);
  get.add_keys("k");
  get.set_wait_ms(15000);
  RendezvousReply got;
  ASSERT_TRUE(Call(&Coordinator::Stub::Rendezvous, get, &got).ok());
  EXPECT_EQ(got.value(), "v");
  setter.join();
}

TEST_F(ServiceTest, WorkIsNotLeasedToACallerThatDisconnected) {
  grpc::ClientContext context;
  std::thread caller([&] {
    LeaseRequest request = WantLease("gone", 4);
    request.set_wait_ms(30000);
    LeaseReply reply;
    EXPECT_FALSE(stub->Lease(&context, request, &reply).ok());
  });
  ASSERT_TRUE(Await([&] { return GetStatus().actors_size() == 1; }));
  context.TryCancel();
  caller.join();
  // The server reads the cancellation before any later call of the same connection, and the slower
  // it is to act on it, the slower are these calls.
  for (int i = 0; i < 100; ++i) GetStatus();
  ASSERT_TRUE(Publish(0).ok());
  Open(MakeSpec("p", 1, 1), 1, true);
  EXPECT_EQ(GetLedger().leased(), 0);
  LeaseReply reply;
  ASSERT_TRUE(Call(&Coordinator::Stub::Lease, WantLease("here", 4), &reply).ok());
  EXPECT_EQ(reply.leases_size(), 1);
}

TEST_F(ServiceTest, StoppingAnswersThoseWhoWait) {
  std::thread waiter([&] {
    LeaseRequest request = WantLease("a", 1);
    request.set_wait_ms(30000);
    LeaseReply reply;
    // A call that the end of the server had cancelled would not be OK.
    EXPECT_TRUE(Call(&Coordinator::Stub::Lease, request, &reply).ok());
    EXPECT_EQ(reply.leases_size(), 0);
  });
  grpc::ClientContext context;
  auto idle = stub->Submit(&context);
  ASSERT_TRUE(Await([&] { return GetStatus().actors_size() == 1; }));
  server.reset();
  waiter.join();
  idle->Finish();
}

TEST_F(ServiceTest, RanksThatWaitAreToldOfOneThatIsMissed) {
  BeginTermRequest begin;
  begin.set_learner("l");
  begin.set_world_size(2);
  begin.set_nonce("n");
  BeginTermReply term;
  ASSERT_TRUE(Call(&Coordinator::Stub::BeginTerm, begin, &term).ok());
  HeartbeatRequest beat;
  beat.set_term(term.term());
  beat.set_rank(1);
  beat.set_host("node-7");
  HeartbeatReply reply;
  ASSERT_TRUE(Call(&Coordinator::Stub::Heartbeat, beat, &reply).ok());
  EXPECT_EQ(reply.timeout_ms(), 500u);
  EXPECT_EQ(GetStatus().ranks(0).host(), "node-7");
  RendezvousRequest wait;
  wait.set_term(term.term());
  wait.set_op(RendezvousRequest::WAIT);
  wait.add_keys("never");
  wait.set_wait_ms(20000);
  RendezvousReply found;
  const absl::Status over = Call(&Coordinator::Stub::Rendezvous, wait, &found);
  EXPECT_EQ(over.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(over.message()),
              ::testing::StartsWith("rank 1 on node-7 has not been heard of for 0."));
  EXPECT_EQ(Call(&Coordinator::Stub::Heartbeat, beat, &reply), over);
}

TEST_F(ServiceTest, ASelectionIsReadBackInOrder) {
  ASSERT_TRUE(Publish(0).ok());
  Open(MakeSpec("p", 4, 1), 1, true);
  FakeActor actor(server->address(), "a");
  NextBatchRequest request = BatchRequest("p", 0);
  request.set_wait_ms(10000);
  NextBatchReply batch;
  ASSERT_TRUE(Call(&Coordinator::Stub::NextBatch, request, &batch).ok());
  AppendSelectionRequest selection;
  selection.set_name("s");
  selection.set_rule("reversed");
  for (int sample : {3, 1, 0}) *selection.add_keys() = MakeRollout("p", 0, sample, 0).key();
  selection.set_complete(true);
  MarkReply mark;
  ASSERT_TRUE(Call(&Coordinator::Stub::AppendSelection, selection, &mark).ok());
  grpc::ClientContext context;
  GetSelectionRequest get;
  get.set_name("s");
  auto reader = stub->GetSelection(&context, get);
  GetSelectionReply reply;
  ASSERT_TRUE(reader->Read(&reply));
  EXPECT_TRUE(reply.complete());
  EXPECT_EQ(reply.rule(), "reversed");
  ASSERT_EQ(reply.keys_size(), 3);
  EXPECT_EQ(reply.keys(0).sample(), 3u);
  EXPECT_FALSE(reader->Read(&reply));
  EXPECT_TRUE(reader->Finish().ok());
}

}  // namespace
}  // namespace reckon
