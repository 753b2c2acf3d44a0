// The rotation of authority, keys and token under load.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "common/net/secret_file.h"
#include "common/testing/await.h"
#include "tests/support/core_harness.h"
#include "tests/support/secured_run.h"

namespace reckon {
namespace {

class RotationTest : public SecuredRun {};

// Leases and submits one sample after the other on one stream, which it opens again when the server
// ends it; counts what did not go as it should.
class OneStreamActor {
 public:
  explicit OneStreamActor(std::unique_ptr<Coordinator::Stub> stub)
      : stub_(std::move(stub)), thread_([this] { Loop(); }) {}
  ~OneStreamActor() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int accepted() const { return accepted_; }
  int streams() const { return streams_; }
  int trouble() const { return trouble_; }

 private:
  void Loop() {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReaderWriter<SubmitRequest, SubmitReply>> stream;
    while (!stop_) {
      grpc::ClientContext call;
      SetDeadline(&call, kPatience);
      LeaseRequest request = WantLease("a", 1);
      request.set_wait_ms(50);
      LeaseReply reply;
      if (!stub_->Lease(&call, request, &reply).ok()) ++trouble_;
      for (const Lease& lease : reply.leases()) {
        const SubmitRequest submit =
            SubmitOf("a", lease.id(),
                     MakeRollout(lease.plan(), lease.item().group(), lease.samples(0),
                                 lease.weight_version()));
        SubmitReply acks;
        while (stream == nullptr || !stream->Write(submit) || !stream->Read(&acks)) {
          // The rollout was not taken: it is sent again, as actors do.
          if (stream != nullptr && stream->Finish().error_code() != grpc::StatusCode::UNAVAILABLE) {
            ++trouble_;
          }
          context = std::make_unique<grpc::ClientContext>();
          SetDeadline(context.get(), absl::Minutes(10));
          stream = stub_->Submit(context.get());
          ++streams_;
        }
        for (const SubmitReply::Ack& ack : acks.acks()) {
          ++(ack.outcome() == SubmitReply::Ack::ACCEPTED ? accepted_ : trouble_);
        }
      }
    }
    if (stream == nullptr) return;
    stream->WritesDone();
    if (!stream->Finish().ok()) ++trouble_;
  }

  const std::unique_ptr<Coordinator::Stub> stub_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> accepted_ = 0, streams_ = 0, trouble_ = 0;
  std::thread thread_;
};

TEST_F(RotationTest, ARotationFailsNoCallAndEndsTheOldAuthorityAndToken) {
  const CertificateOptions options = {.run = "ours", .folder = folder_};
  Expect(&Coordinator::Stub::OpenPlan, OpenRequest(MakeSpec("long", 1, 512, 4)));
  Expect(&Coordinator::Stub::AppendGroups, AppendRequest("long", 0, 2000));
  OneStreamActor actor(Stub(Role::kActor));
  std::atomic<bool> stop = false;
  std::atomic<int> calls = 0, failed = 0;
  std::thread caller([&, stub = Stub(Role::kUser)] {
    while (!stop) {
      grpc::ClientContext context;
      SetDeadline(&context, kPatience);
      GetStatusReply reply;
      const grpc::Status status = stub->GetStatus(&context, {}, &reply);
      if (!status.ok()) ADD_FAILURE() << status.error_message();
      failed += !status.ok();
      ++calls;
      absl::SleepFor(absl::Milliseconds(2));
    }
  });
  const Verb get_status = {"/reckon.Coordinator/GetStatus", ""};
  const auto code = [&](const Shown& shown) {
    return CallVerb(Connect(coordinator_->address(), shown), get_status).error_code();
  };
  const auto answers = [&](const Shown& shown, grpc::StatusCode expected) {
    return Await([&] { return code(shown) == expected; });
  };
  const auto moves = [&](const auto& count) {
    return Await([&, from = count()] { return count() > from; });
  };
  // As who rotates must wait before the next step: clients read their files again within two
  // seconds, so the second call that ends after that has what this step wrote.
  const auto clients_follow = [&] {
    Await([until = absl::Now() + absl::Seconds(2)] { return absl::Now() > until; });
    bool both = true;
    for (int i = 0; i < 2; ++i) {
      both = both && moves([&] { return calls.load(); }) && moves([&] { return actor.accepted(); });
    }
    return both;
  };
  const std::string user = FolderOf(Role::kUser);
  const Shown old = Right(Role::kUser);
  EXPECT_EQ(code(old), grpc::StatusCode::OK);

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kTrust).ok());
  const CertifiedKey next = {ReadOrFail(folder_ + "/authority/next.crt"),
                             ReadOrFail(folder_ + "/authority/next.key")};
  const std::string next_token = ParseTokens(ReadOrFail(user + "/token"))->back();
  Shown fresh = {authority_.certificate + next.certificate,
                 *MakeCertificate(next, *IdentityUri("ours", Role::kUser), ValidForDays(1)),
                 next_token};
  EXPECT_EQ(code(old), grpc::StatusCode::OK);
  EXPECT_TRUE(answers(fresh, grpc::StatusCode::OK)) << "the server trusts the next authority";
  EXPECT_TRUE(clients_follow());

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kUse).ok());
  fresh.authorities = next.certificate;  // trusts no other: the server has its new certificate
  EXPECT_TRUE(answers(fresh, grpc::StatusCode::OK));
  EXPECT_EQ(code(old), grpc::StatusCode::UNAVAILABLE) << "it does not know the new authority";
  Shown behind = old;
  behind.authorities += next.certificate;
  EXPECT_EQ(code(behind), grpc::StatusCode::OK) << "those who are late are still members";
  EXPECT_TRUE(clients_follow());

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kForget).ok());
  EXPECT_TRUE(answers(behind, grpc::StatusCode::UNAVAILABLE)) << "the old certificate";
  Shown old_token = fresh;
  old_token.token = token_;
  EXPECT_TRUE(answers(old_token, grpc::StatusCode::UNAUTHENTICATED)) << "the old token";
  EXPECT_EQ(code(fresh), grpc::StatusCode::OK);
  const int streams = actor.streams();
  EXPECT_TRUE(moves([&] { return actor.accepted(); }));
  EXPECT_TRUE(moves([&] { return actor.accepted(); }));
  EXPECT_GE(streams, 2) << "a stream ends when what the server trusts has changed";

  stop = true;
  caller.join();
  actor.Stop();
  EXPECT_GT(calls, 10);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(actor.trouble(), 0);
  const auto now = Stub(Role::kUser);
  grpc::ClientContext context;
  GetStatusReply status;
  ASSERT_TRUE(now->GetStatus(&context, {}, &status).ok());
  EXPECT_EQ(status.ledger().accepted(), static_cast<uint64_t>(actor.accepted()));
  EXPECT_EQ(status.ledger().duplicate(), 0u) << "no rollout was taken twice";
}

}  // namespace
}  // namespace reckon
