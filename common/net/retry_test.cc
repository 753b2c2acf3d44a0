#include "common/net/retry.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

// Holds the first `held` calls until the client or a stop of the server ends them; answers the
// others at once.
class HoldingCoordinator : public Coordinator::Service {
 public:
  explicit HoldingCoordinator(int held) : held_(held) { StartServer(); }
  ~HoldingCoordinator() override { StopServer(); }

  void StartServer() {
    grpc::ServerBuilder builder;
    ASSERT_TRUE(ListenOn({"127.0.0.1", static_cast<uint16_t>(port_)}, Security::PlainText(),
                         &builder, &port_)
                    .ok());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  // As CoordinatorServer does: calls that are still open at the deadline are cancelled.
  void StopServer() {
    server_->Shutdown(absl::ToChronoTime(absl::Now() + absl::Milliseconds(50)));
    server_->Wait();
  }
  std::unique_ptr<Coordinator::Stub> NewStub() const {
    return Coordinator::NewStub(
        *MakeChannel(absl::StrCat("127.0.0.1:", port_), Security::PlainText()));
  }
  void AwaitCall() { entered_.WaitForNotification(); }
  int calls() const { return calls_; }

  grpc::Status BeginTerm(grpc::ServerContext* context, const BeginTermRequest*,
                         BeginTermReply* reply) override {
    reply->set_term(4);
    return Answer(context);
  }
  grpc::Status PublishWeights(grpc::ServerContext* context, const PublishWeightsRequest*,
                              MarkReply*) override {
    return Answer(context);
  }
  grpc::Status Rendezvous(grpc::ServerContext* context, const RendezvousRequest*,
                          RendezvousReply*) override {
    return Answer(context);
  }

 private:
  grpc::Status Answer(grpc::ServerContext* context) {
    if (calls_++ >= held_) return grpc::Status::OK;
    if (!entered_.HasBeenNotified()) entered_.Notify();
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  }

  const int held_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<int> calls_ = 0;
  absl::Notification entered_;
};

// A call of the learner group, by name.
struct LearnerCall {
  std::string name;
  std::function<grpc::Status(Coordinator::Stub*, grpc::ClientContext*)> run;
};

class LearnerCallTest : public testing::TestWithParam<LearnerCall> {};

TEST_P(LearnerCallTest, ACallSurvivesACoordinatorThatStopsGracefullyInMidCallAndStartsAgain) {
  HoldingCoordinator coordinator(/*held=*/1);
  const std::unique_ptr<Coordinator::Stub> stub = coordinator.NewStub();
  absl::Status status = absl::UnknownError("not called");
  std::thread caller([&] {
    status = CallWithRetry({}, {.patience = absl::Minutes(4)}, [&](grpc::ClientContext* context) {
      return GetParam().run(stub.get(), context);
    });
  });
  coordinator.AwaitCall();
  coordinator.StopServer();
  coordinator.StartServer();
  caller.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(coordinator.calls(), 2);
}

INSTANTIATE_TEST_SUITE_P(
    Retry, LearnerCallTest,
    testing::Values(LearnerCall{"BeginTerm",
                                [](Coordinator::Stub* stub, grpc::ClientContext* context) {
                                  BeginTermReply reply;
                                  return stub->BeginTerm(context, {}, &reply);
                                }},
                    LearnerCall{"PublishWeights",
                                [](Coordinator::Stub* stub, grpc::ClientContext* context) {
                                  MarkReply reply;
                                  return stub->PublishWeights(context, {}, &reply);
                                }},
                    LearnerCall{"Rendezvous",
                                [](Coordinator::Stub* stub, grpc::ClientContext* context) {
                                  RendezvousReply reply;
                                  return stub->Rendezvous(context, {}, &reply);
                                }}),
    [](const auto& info) { return info.param.name; });

TEST(RetryTest, AStopCancelsTheCallThatRuns) {
  HoldingCoordinator coordinator(/*held=*/1);
  const std::unique_ptr<Coordinator::Stub> stub = coordinator.NewStub();
  std::stop_source stop;
  std::thread stopper([&] {
    coordinator.AwaitCall();
    stop.request_stop();
  });
  // Without the stop the call would last longer than ctest lets a test run.
  const absl::Status status = CallWithRetry(stop.get_token(), {.attempt_timeout = absl::Hours(10)},
                                            [&](grpc::ClientContext* context) {
                                              MarkReply reply;
                                              return stub->PublishWeights(context, {}, &reply);
                                            });
  EXPECT_EQ(status, absl::CancelledError("stopped"));
  EXPECT_EQ(coordinator.calls(), 1);
  stopper.join();
}

TEST(RetryTest, AnAttemptThatIsNotAnsweredInTimeIsRepeated) {
  HoldingCoordinator coordinator(/*held=*/2);
  const std::unique_ptr<Coordinator::Stub> stub = coordinator.NewStub();
  const absl::Status status = CallWithRetry({}, {.attempt_timeout = absl::Milliseconds(100)},
                                            [&](grpc::ClientContext* context) {
                                              MarkReply reply;
                                              return stub->PublishWeights(context, {}, &reply);
                                            });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_GE(coordinator.calls(), 3);  // more where an answer takes a tenth of a second
}

TEST(RetryTest, PatienceBoundsTheAttempts) {
  int attempts = 0;
  const absl::Status status =
      CallWithRetry({}, {.patience = absl::Seconds(1)}, [&](grpc::ClientContext*) {
        ++attempts;
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no route");
      });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("no route (gave up after 1s)"));
  EXPECT_GE(attempts, 2);
  EXPECT_LE(attempts, 6);
}

TEST(RetryTest, APermanentErrorIsReturnedAtOnce) {
  int attempts = 0;
  const absl::Status status = CallWithRetry({}, {}, [&](grpc::ClientContext*) {
    ++attempts;
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "an older term");
  });
  EXPECT_EQ(status, absl::FailedPreconditionError("an older term"));
  EXPECT_EQ(attempts, 1);
}

TEST(RetryTest, ErrorsThatTimeCuresAreTransient) {
  EXPECT_TRUE(IsTransient(absl::UnavailableError("")));
  EXPECT_TRUE(IsTransient(absl::DeadlineExceededError("")));
  EXPECT_TRUE(IsTransient(absl::CancelledError("")));
  EXPECT_FALSE(IsTransient(absl::InvalidArgumentError("")));
  EXPECT_FALSE(IsTransient(absl::OkStatus()));
}

TEST(BackoffTest, DoublesUpToItsBoundAndStartsAgainAfterASuccess) {
  Backoff backoff;
  EXPECT_TRUE(backoff.first());
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(50));
  EXPECT_FALSE(backoff.first());
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(100));
  for (int i = 0; i < 20; ++i) EXPECT_LE(backoff.Next(), absl::Seconds(2));
  EXPECT_EQ(backoff.Next(), absl::Seconds(2));
  backoff.Reset();
  EXPECT_TRUE(backoff.first());
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(50));
}

TEST(RetryTest, TellsOfAnOutageAndItsEndOnce) {
  std::vector<absl::Status> told;
  int attempts = 0;
  const auto call = [&](grpc::ClientContext*) {
    return ++attempts < 4 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "away") : grpc::Status::OK;
  };
  const RetryOptions options = {
      .on_outage = [&](const absl::Status& status) { told.push_back(status); }};
  EXPECT_TRUE(CallWithRetry({}, options, call).ok());
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0], absl::UnavailableError("away"));
  EXPECT_TRUE(told[1].ok());
  EXPECT_TRUE(CallWithRetry({}, options, call).ok());
  EXPECT_EQ(told.size(), 2u) << "an answer at once is no outage";
}

}  // namespace
}  // namespace reckon
