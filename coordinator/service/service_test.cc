#include "coordinator/service/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "common/net/channel.h"
#include "common/testing/await.h"
#include "coordinator/service/server.h"
#include "coordinator/service/submit_stream.h"
#include "tests/support/core_harness.h"
#include "tests/support/fake_actor.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

// A store whose writes can be held up or made to fail.
class GatedStore : public MemoryStore {
 public:
  absl::Status Write(const Writes& writes) override {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&open_));
    if (broken_) return absl::InternalError("disk full");
    return MemoryStore::Write(writes);
  }
  void SetOpen(bool open) {
    absl::MutexLock lock(&mu_);
    open_ = open;
  }
  void Break() {
    absl::MutexLock lock(&mu_);
    broken_ = true;
  }

 private:
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
};

class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CoordinatorServer::Options options;
    options.core.run = "test";
    options.core.rank_timeout = absl::Milliseconds(500);
    options.committer.on_failure = [this](const absl::Status&) { ++failures; };
    auto started = CoordinatorServer::Start(&store, options);
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = Coordinator::NewStub(*MakeChannel(server->address(), Security::PlainText()));
  }

  template <typename Request, typename Reply>
  absl::Status Call(grpc::Status (Coordinator::Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Reply*),
                    const Request& request, Reply* reply) {
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    return FromGrpc((stub.get()->*method)(&context, request, reply));
  }
  absl::Status Publish(uint64_t version) {
    MarkReply reply;
    return Call(&Coordinator::Stub::PublishWeights, PublishRequest(version), &reply);
  }
  void Open(const PlanSpec& spec, uint64_t groups, bool end) {
    OpenPlanReply opened;
    ASSERT_TRUE(Call(&Coordinator::Stub::OpenPlan, OpenRequest(spec), &opened).ok());
    AppendGroupsReply appended;
    ASSERT_TRUE(Call(&Coordinator::Stub::AppendGroups, AppendRequest(spec.name(), 0, groups, end),
                     &appended)
                    .ok());
  }
  GetStatusReply GetStatus() {
    GetStatusReply reply;
    EXPECT_TRUE(Call(&Coordinator::Stub::GetStatus, GetStatusRequest(), &reply).ok());
    return reply;
  }
  Ledger GetLedger() { return GetStatus().ledger(); }

  GatedStore store;
  std::atomic<int> failures = 0;
  std::unique_ptr<CoordinatorServer> server;
  std::unique_ptr<Coordinator::Stub> stub;
};

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

TEST_F(ServiceTest, AStreamPastItsWindowIsAcknowledgedInOrder) {
  ASSERT_TRUE(Publish(0).ok());
  Open(MakeSpec("p", 1000, 1), 1, true);
  LeaseReply leases;
  ASSERT_TRUE(Call(&Coordinator::Stub::Lease, WantLease("a", 1000), &leases).ok());
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  auto stream = stub->Submit(&context);
  std::thread writer([&] {
    // One in the first message, two in the next, and so on.
    for (uint32_t sample = 0, size = 1; sample < 1000; ++size) {
      SubmitRequest request;
      for (uint32_t i = 0; i < size && sample < 1000; ++i, ++sample) {
        request.MergeFrom(SubmitOf("a", leases.leases(0).id(), MakeRollout("p", 0, sample, 0)));
      }
      EXPECT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  uint32_t at = 0;
  SubmitReply reply;
  while (stream->Read(&reply)) {
    for (const auto& ack : reply.acks()) {
      EXPECT_EQ(ack.key().sample(), at++);
      EXPECT_EQ(ack.outcome(), SubmitReply::Ack::ACCEPTED) << ack.message();
    }
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(at, 1000u);
}

TEST_F(ServiceTest, AStreamPastItsWindowOfBytesContinuesWhenTheyAreAcknowledged) {
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  auto stream = stub->Submit(&context);
  std::thread writer([&] {
    SubmitRequest request;
    request.set_actor("a");
    request.add_rollouts()->set_rollout(std::string(kSubmitWindowBytes / 2 + 1, 'x'));
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(stream->Write(request));
    stream->WritesDone();
  });
  int acks = 0;
  SubmitReply reply;
  while (stream->Read(&reply)) acks += reply.acks_size();
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(acks, 5);
}

TEST_F(ServiceTest, AnActorHasFewStreams) {
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<SubmitRequest, SubmitReply>> call;
  };
  std::vector<std::unique_ptr<Stream>> streams;
  // Opens a stream of an actor; false: it was ended instead of acknowledging the first message.
  const auto open = [&](const std::string& actor) {
    Stream& stream = *streams.emplace_back(std::make_unique<Stream>());
    SetDeadline(&stream.context, kPatience);
    stream.call = stub->Submit(&stream.context);
    SubmitReply reply;
    return stream.call->Write(SubmitOf(actor, 1, MakeRollout("p", 0, 0, 0))) &&
           stream.call->Read(&reply);
  };
  for (int i = 0; i < kStreamsPerActor; ++i) EXPECT_TRUE(open("a")) << i;
  EXPECT_FALSE(open("a"));
  const grpc::Status refused = streams.back()->call->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), testing::HasSubstr("actor 'a' has 4 streams"));
  EXPECT_TRUE(open("b")) << "another actor has its own limit";
  // An actor whose old streams end has room again.
  streams.front()->call->WritesDone();
  EXPECT_TRUE(streams.front()->call->Finish().ok());
  EXPECT_TRUE(Await([&] { return open("a"); }));
}

TEST_F(ServiceTest, AMessageOfTooManyRolloutsEndsItsStream) {
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  auto stream = stub->Submit(&context);
  SubmitRequest request;
  request.set_actor("a");
  for (int i = 0; i <= kSubmitWindow; ++i) request.add_rollouts();
  stream->Write(request);
  SubmitReply reply;
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServiceTest, AStreamIsOfOneActor) {
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  auto stream = stub->Submit(&context);
  stream->Write(SubmitOf("a", 1, MakeRollout("p", 0, 0, 0)));
  stream->Write(SubmitOf("b", 1, MakeRollout("p", 0, 0, 0)));
  SubmitReply reply;
  int acks = 0;
  while (stream->Read(&reply)) acks += reply.acks_size();
  EXPECT_EQ(acks, 1) << "what was read before is acknowledged";
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(SubmitLimitsTest, AllStreamsTogetherAreBounded) {
  SubmitLimits limits;
  for (int i = 0; i < kStreams; ++i) ASSERT_TRUE(limits.Open().ok());
  EXPECT_EQ(limits.Open().code(), absl::StatusCode::kResourceExhausted);
  limits.Close("");
  EXPECT_TRUE(limits.Open().ok());
  EXPECT_EQ(limits.Enter("").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ServiceTest, NoAcknowledgementLeavesBeforeItsSync) {
  ASSERT_TRUE(Publish(0).ok());
  Open(MakeSpec("p", 1, 1), 1, true);
  LeaseReply leases;
  ASSERT_TRUE(Call(&Coordinator::Stub::Lease, WantLease("a", 1), &leases).ok());
  store.SetOpen(false);
  grpc::ClientContext context;
  auto stream = stub->Submit(&context);
  stream->Write(SubmitOf("a", leases.leases(0).id(), MakeRollout("p", 0, 0, 0)));
  std::atomic<bool> acknowledged = false;
  SubmitReply reply;
  std::thread reader([&] {
    EXPECT_TRUE(stream->Read(&reply));
    acknowledged = true;
  });
  // The batch that it completes is not told either.
  grpc::ClientContext waiting;
  SetDeadline(&waiting, absl::Milliseconds(300));
  NextBatchRequest request = BatchRequest("p", 0);
  request.set_wait_ms(200);
  NextBatchReply batch;
  EXPECT_FALSE(stub->NextBatch(&waiting, request, &batch).ok());
  EXPECT_FALSE(acknowledged);
  store.SetOpen(true);
  reader.join();
  EXPECT_EQ(reply.acks(0).outcome(), SubmitReply::Ack::ACCEPTED);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ServiceTest, AFailedSyncIsNeverAcknowledgedAndEndsTheCoordinator) {
  ASSERT_TRUE(Publish(0).ok());
  Open(MakeSpec("p", 1, 1), 1, true);
  LeaseReply leases;
  ASSERT_TRUE(Call(&Coordinator::Stub::Lease, WantLease("a", 1), &leases).ok());
  store.Break();
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  auto stream = stub->Submit(&context);
  stream->Write(SubmitOf("a", leases.leases(0).id(), MakeRollout("p", 0, 0, 0)));
  SubmitReply reply;
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(failures, 1);
  EXPECT_EQ(Publish(1).code(), absl::StatusCode::kUnavailable);
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

TEST(CommitterTest, AWaitIsWokenByAChangeOfItsKindAlone) {
  MemoryStore store;
  FakeClock clock;  // stays, so that no wait ends by itself
  Committer committer(*Core::Recover(&store, CoreOptions()), &store, &clock, {});
  std::atomic<int> attempts = 0;
  absl::Notification answered;
  committer.Await(
      kWeightsChanged, absl::Seconds(30),
      [&](Core& core, absl::Time, bool last, Reads&) {
        ++attempts;
        EXPECT_FALSE(last);
        return core.Status(absl::UnixEpoch()).newest_version() == 4;
      },
      [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok());
        answered.Notify();
      });
  EXPECT_EQ(attempts, 1);
  const auto begin_term = [](Core& core, absl::Time, Reads&) {
    BeginTermRequest begin;
    begin.set_learner("l");
    begin.set_world_size(1);
    begin.set_nonce("n");
    EXPECT_TRUE(core.BeginTerm(begin).ok());
  };
  committer.Do(begin_term, [](const absl::Status&) {});
  EXPECT_EQ(attempts, 1) << "another kind";
  committer.Do([](Core& core, absl::Time,
                  Reads&) { EXPECT_TRUE(core.PublishWeights(PublishRequest(4, 1)).ok()); },
               [](const absl::Status&) {});
  answered.WaitForNotification();
  EXPECT_EQ(attempts, 2);
}

TEST(CommitterTest, AManifestThatIsNotOnTheDiskIsGivenWhenItIs) {
  GatedStore store;
  FakeClock clock;  // stays, so that no wait ends by itself
  Committer committer(*Core::Recover(&store, CoreOptions()), &store, &clock, {});
  store.SetOpen(false);
  const auto publish = [&](uint64_t version) {
    committer.Do([=](Core& core, absl::Time,
                     Reads&) { EXPECT_TRUE(core.PublishWeights(PublishRequest(version)).ok()); },
                 [](const absl::Status&) {});
  };
  publish(0);
  publish(1);
  std::atomic<bool> answered = false;
  committer.Await(
      kWeightsChanged, absl::Seconds(30),
      [](Core& core, absl::Time, bool last, Reads& reads) {
        EXPECT_FALSE(last);
        GetManifestRequest first;
        first.set_version(0);
        return core.GetManifest(first, reads)->has_value();
      },
      [&](const absl::Status& status) { answered = status.ok(); });
  EXPECT_FALSE(answered);
  store.SetOpen(true);
  EXPECT_TRUE(Await([&] { return answered.load(); }));
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
