#include "common/net/plan_watch.h"

#include <atomic>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "common/net/channel.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

// A coordinator whose plan "p" gets one sample of 10 tokens more at each question, and whose only
// actor refuses version 0 when `refused` is set.
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
    ActorStatus* actor = reply->add_actors();
    actor->set_name("a");
    if (refused) actor->mutable_report()->set_refused_because("no such tensor");
    return grpc::Status::OK;
  }

  std::atomic<bool> refused = false;

 private:
  uint64_t questions_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

PlanSpec MakeSpec() {
  PlanSpec spec;
  spec.set_name("p");
  spec.set_groups_per_batch(1);
  return spec;
}

// What a watch has shown.
class Shown {
 public:
  void Add(const PlanView& view) {
    absl::MutexLock lock(&mu_);
    views_.push_back(view);
  }
  std::vector<PlanView> views() const {
    absl::MutexLock lock(&mu_);
    return views_;
  }

 private:
  mutable absl::Mutex mu_;
  std::vector<PlanView> views_ ABSL_GUARDED_BY(mu_);
};

TEST(PlanWatchTest, ShowsTheSamplesAndSpeedOfItsPlanAndSkipsAFailedQuestion) {
  CountingCoordinator coordinator;
  const auto stub = coordinator.NewStub();
  Shown shown;
  {
    PlanWatch watch(stub.get(), MakeSpec(), 0, [&](const PlanView& view) { shown.Add(view); });
    EXPECT_TRUE(
        Await([&] { return !shown.views().empty() && shown.views().back().tokens_per_s > 0; }));
    EXPECT_TRUE(watch.Check().ok());
  }
  const PlanView last = shown.views().back();
  EXPECT_GE(last.samples, 3);
  EXPECT_LT(last.samples, 1000);
  EXPECT_LT(last.tokens_per_s, 25);  // 10 tokens every 500 ms at most
}

TEST(PlanWatchTest, ShowsAndReportsThatThePlanCannotContinue) {
  CountingCoordinator coordinator;
  coordinator.refused = true;
  const auto stub = coordinator.NewStub();
  Shown shown;
  {
    PlanWatch watch(stub.get(), MakeSpec(), 0, [&](const PlanView& view) { shown.Add(view); });
    EXPECT_TRUE(Await([&] { return !watch.Check().ok(); }));
    EXPECT_EQ(watch.Check().message(), "a refuses weight version 0: no such tensor");
    EXPECT_EQ(shown.views().back().waiting_for, watch.Check().message());
  }
  EXPECT_EQ(shown.views().back().waiting_for, "");
}

TEST(PlanWatchTest, SaysThatTheCoordinatorDoesNotAnswer) {
  const auto stub = Coordinator::NewStub(*MakeChannel("127.0.0.1:1", Security::PlainText()));
  Shown shown;
  PlanWatch watch(stub.get(), MakeSpec(), 0, [&](const PlanView& view) { shown.Add(view); });
  EXPECT_TRUE(Await([&] {
    return !shown.views().empty() &&
           shown.views().back().waiting_for == "the coordinator does not answer";
  }));
}

}  // namespace
}  // namespace reckon
