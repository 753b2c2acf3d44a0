#include "learner/publish/broadcast_meeting.h"

#include <future>
#include <memory>

#include "common/net/channel.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

// Actors that join over a real connection.
class BroadcastMeetingTest : public testing::Test {
 protected:
  struct Answer {
    absl::Status status;
    JoinBroadcastReply reply;
  };

  ~BroadcastMeetingTest() override { End(); }

  void Start(absl::Duration window, bool gpu = false) {
    meeting_ = std::make_unique<BroadcastMeeting>(window, gpu);
    grpc::ServerBuilder builder;
    builder.RegisterService(meeting_.get());
    server_ = builder.BuildAndStart();
    stub_ = WeightBroadcast::NewStub(server_->InProcessChannel({}));
  }
  void End() {
    if (server_ == nullptr) return;
    meeting_->End();
    server_->Shutdown();
    server_.reset();
  }

  std::future<Answer> Join(uint64_t version, const std::string& member,
                           const std::string& group = "") {
    return std::async(std::launch::async, [=, this] {
      JoinBroadcastRequest request;
      request.set_version(version);
      request.set_member(member);
      request.set_group(group);
      grpc::ClientContext context;
      SetDeadline(&context, kPatience);
      Answer answer;
      answer.status = FromGrpc(stub_->Join(&context, request, &answer.reply));
      return answer;
    });
  }
  // They have asked too early, so that the next version waits for them.
  void MakeKnown(const std::vector<std::string>& members) {
    for (const std::string& member : members) {
      EXPECT_TRUE(absl::IsNotFound(Join(1000, member).get().status));
    }
  }
  absl::StatusOr<RendezvousReply> Meet(const std::string& group, RendezvousRequest::Op op,
                                       const std::string& value = "") {
    MeetRequest request;
    request.set_group(group);
    request.mutable_call()->set_op(op);
    request.mutable_call()->add_keys("k");
    request.mutable_call()->set_value(value);
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    RendezvousReply reply;
    const absl::Status status = FromGrpc(stub_->Meet(&context, request, &reply));
    if (!status.ok()) return status;
    return reply;
  }

  std::stop_source stop_;
  std::unique_ptr<BroadcastMeeting> meeting_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<WeightBroadcast::Stub> stub_;
};

TEST_F(BroadcastMeetingTest, TheGroupStaysWhileTheSameActorsCome) {
  Start(absl::InfiniteDuration());
  MakeKnown({"b:1", "a:1"});
  std::string name;
  for (const uint64_t version : {1, 2}) {
    meeting_->Open(version);
    auto b = Join(version, "b:1", name), a = Join(version, "a:1", name);
    const auto group = meeting_->Gather(version, stop_.get_token());
    ASSERT_TRUE(group.ok()) << group.status();
    EXPECT_THAT(group->members, ElementsAre("a:1", "b:1"));
    EXPECT_EQ(group->kept, version == 2);
    const Answer of_a = a.get(), of_b = b.get();
    EXPECT_EQ(of_a.reply.rank(), 1u);
    EXPECT_EQ(of_b.reply.rank(), 2u);
    EXPECT_EQ(of_b.reply.world(), 3u);
    EXPECT_EQ(of_a.reply.group(), group->name);
    EXPECT_EQ(group->name == name, version == 2);
    name = group->name;
  }
  // One of them has lost its connections.
  meeting_->Open(3);
  auto b = Join(3, "b:1"), a = Join(3, "a:1", name);
  auto group = meeting_->Gather(3, stop_.get_token());
  ASSERT_TRUE(group.ok());
  EXPECT_FALSE(group->kept);
  EXPECT_NE(group->name, name);
  name = group->name;
  b.wait();
  a.wait();
  // Another one comes: too late for a version, and in the next group.
  EXPECT_TRUE(absl::IsNotFound(Join(3, "c:1").get().status));
  meeting_->Open(4);
  b = Join(4, "b:1", name), a = Join(4, "a:1", name);
  auto c = Join(4, "c:1");
  group = meeting_->Gather(4, stop_.get_token());
  ASSERT_TRUE(group.ok());
  EXPECT_FALSE(group->kept);
  EXPECT_THAT(group->members, ElementsAre("a:1", "b:1", "c:1"));
}

TEST_F(BroadcastMeetingTest, WhoDoesNotComeIsLeftOut) {
  Start(absl::Milliseconds(100));
  MakeKnown({"a:1", "gone:1"});
  meeting_->Open(1);
  auto a = Join(1, "a:1");
  auto group = meeting_->Gather(1, stop_.get_token());
  ASSERT_TRUE(group.ok());
  EXPECT_THAT(group->members, ElementsAre("a:1"));
  EXPECT_EQ(a.get().reply.world(), 2u);
}

TEST_F(BroadcastMeetingTest, ANewerVersionEndsTheWaitForAnOlderOne) {
  Start(absl::InfiniteDuration());
  MakeKnown({"a:1", "b:1"});
  meeting_->Open(1);
  auto a = Join(1, "a:1");
  auto gather = std::async(std::launch::async,
                           [&] { return meeting_->Gather(1, stop_.get_token()).status(); });
  meeting_->Open(2);
  EXPECT_TRUE(absl::IsNotFound(a.get().status));
  EXPECT_TRUE(absl::IsNotFound(gather.get()));
}

TEST_F(BroadcastMeetingTest, AStopEndsAllWaits) {
  Start(absl::InfiniteDuration());
  MakeKnown({"a:1", "b:1"});
  meeting_->Open(1);
  auto a = Join(1, "a:1");
  auto gather = std::async(std::launch::async,
                           [&] { return meeting_->Gather(1, stop_.get_token()).status(); });
  stop_.request_stop();
  EXPECT_TRUE(absl::IsCancelled(gather.get()));
  meeting_->End();
  EXPECT_FALSE(a.get().status.ok());
}

TEST_F(BroadcastMeetingTest, AKeyIsWaitedForUntilItComesOrTheGroupIsOver) {
  Start(absl::InfiniteDuration());
  MakeKnown({"a:1"});
  meeting_->Open(1);
  auto a = Join(1, "a:1");
  const auto group = meeting_->Gather(1, stop_.get_token());
  ASSERT_TRUE(group.ok());
  auto waits =
      std::async(std::launch::async, [&] { return Meet(group->name, RendezvousRequest::GET); });
  RendezvousRequest set;
  set.set_op(RendezvousRequest::SET);
  set.add_keys("k");
  set.set_value("v");
  RendezvousReply reply;
  ASSERT_TRUE(meeting_->Meet(set, kPatience, &reply).ok());
  const auto got = waits.get();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->value(), "v");

  RendezvousRequest get;
  get.set_op(RendezvousRequest::GET);
  get.add_keys("never");
  EXPECT_TRUE(absl::IsDeadlineExceeded(meeting_->Meet(get, absl::Milliseconds(1), &reply)));
  auto own = std::async(std::launch::async, [&] {
    RendezvousReply unused;
    return meeting_->Meet(get, kPatience, &unused);
  });
  meeting_->Disband();
  // Whether it began to wait before or after.
  EXPECT_FALSE(own.get().ok());
  EXPECT_TRUE(absl::IsAborted(Meet(group->name, RendezvousRequest::GET).status()));
}

TEST_F(BroadcastMeetingTest, BetweenGpusOnlyWhoHasOne) {
  Start(absl::InfiniteDuration(), /*gpu=*/true);
  meeting_->Open(1);
  EXPECT_TRUE(absl::IsNotFound(Join(1, "cpu:1").get().status));
}

}  // namespace
}  // namespace reckon
