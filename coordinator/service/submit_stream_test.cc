#include "coordinator/service/submit_stream.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/testing/await.h"
#include "coordinator/service/submit_limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/service_harness.h"

namespace reckon {
namespace {

using SubmitStreamTest = ServiceTest;

TEST_F(SubmitStreamTest, AStreamPastItsWindowIsAcknowledgedInOrder) {
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

TEST_F(SubmitStreamTest, AStreamPastItsWindowOfBytesContinuesWhenTheyAreAcknowledged) {
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

TEST_F(SubmitStreamTest, AnActorHasFewStreams) {
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

TEST_F(SubmitStreamTest, AMessageOfTooManyRolloutsEndsItsStream) {
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

TEST_F(SubmitStreamTest, AStreamIsOfOneActor) {
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

TEST_F(SubmitStreamTest, NoAcknowledgementLeavesBeforeItsSync) {
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

TEST_F(SubmitStreamTest, AFailedSyncIsNeverAcknowledgedAndEndsTheCoordinator) {
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

}  // namespace
}  // namespace reckon
