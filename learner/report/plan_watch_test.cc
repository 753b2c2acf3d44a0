#include "learner/report/plan_watch.h"

#include <filesystem>
#include <memory>

#include "absl/time/clock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

// A coordinator whose plan "p" gets one sample of 10 tokens more at each question.
class CountingCoordinator : public Coordinator::Service {
 public:
  CountingCoordinator() {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~CountingCoordinator() override { server_->Shutdown(); }

  std::unique_ptr<Coordinator::StubInterface> NewStub() {
    return Coordinator::NewStub(server_->InProcessChannel({}));
  }

  grpc::Status GetStatus(grpc::ServerContext*, const GetStatusRequest*,
                         GetStatusReply* reply) override {
    if (++questions_ == 1) return {grpc::StatusCode::UNAVAILABLE, "not yet"};
    for (const char* name : {"other", "p"}) {
      PlanStatus* plan = reply->add_plans();
      plan->set_name(name);
      plan->set_samples_accepted(name[0] == 'p' ? questions_ : 1000);
      plan->set_sampled_tokens(plan->samples_accepted() * 10);
    }
    return grpc::Status::OK;
  }

 private:
  uint64_t questions_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(PlanWatchTest, ShowsTheSamplesAndSpeedOfItsPlanAndSkipsAFailedQuestion) {
  const std::string run_dir = testing::TempDir() + "/plan_watch_test";
  std::filesystem::create_directories(run_dir);
  CountingCoordinator coordinator;
  const auto stub = coordinator.NewStub();
  auto reporter = Reporter::Create(run_dir, 0, {});
  ASSERT_TRUE(reporter.ok()) << reporter.status();
  (*reporter)->BeginPhase("sample", 100, "samples");
  Progress progress;
  {
    PlanWatch watch(stub.get(), "p", reporter->get());
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (progress.tokens_per_s() == 0 && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(20));
      progress = *ReadProgress(run_dir);
    }
  }
  EXPECT_EQ(progress.phase(), "sample");
  EXPECT_GE(progress.done(), 3);
  EXPECT_LT(progress.done(), 1000);
  EXPECT_GT(progress.tokens_per_s(), 0);
  EXPECT_LT(progress.tokens_per_s(), 25);  // 10 tokens every 500 ms
  std::filesystem::remove_all(run_dir);
}

TEST(PlanWatchTest, EndsAtOnceWhileTheCoordinatorDoesNotAnswer) {
  const auto stub =
      Coordinator::NewStub(grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials()));
  const std::unique_ptr<Reporter> reporter = Reporter::Silent();
  const absl::Time begin = absl::Now();
  {
    PlanWatch watch(stub.get(), "p", reporter.get());
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(1));
}

}  // namespace
}  // namespace reckon
