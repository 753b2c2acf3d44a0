#include "common/reward/service_reward.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"
#include "common/net/run_certificates.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/health.grpc.pb.h"
#include "proto/reward_service.grpc.pb.h"

namespace reckon {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

// A reward as users write one: it scores, refuses, breaks or hangs, as the completion says.
class UsersService final : public RewardService::Service, public grpc::health::v1::Health::Service {
 public:
  explicit UsersService(std::shared_ptr<const Security> security) {
    grpc::ServerBuilder builder;
    EXPECT_TRUE(ListenOn({"127.0.0.1", 0}, security, &builder, &port_).ok());
    builder.RegisterService(static_cast<RewardService::Service*>(this));
    builder.RegisterService(static_cast<grpc::health::v1::Health::Service*>(this));
    server_ = builder.BuildAndStart();
  }
  ~UsersService() override { server_->Shutdown(); }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

  grpc::Status Score(grpc::ServerContext* context, const ScoreRequest* request,
                     ScoreReply* reply) override {
    const std::string& text = request->completion();
    if (text == "refuse") return {grpc::StatusCode::FAILED_PRECONDITION, "I do not know this"};
    if (text == "break") return {grpc::StatusCode::UNKNOWN, "Exception calling application"};
    if (text == "nan") reply->set_value(std::numeric_limits<double>::quiet_NaN());
    if (text == "18") reply->set_value(1);
    while (text == "hang" && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::OK;
  }
  grpc::Status Check(grpc::ServerContext*, const grpc::health::v1::HealthCheckRequest*,
                     HealthCheckResponse* response) override {
    response->set_status(serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
    return grpc::Status::OK;
  }

  std::atomic<bool> serving = true;

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// What one attempt says, and what it waited for last.
struct Said {
  RewardOutcome outcome;
  std::string waited;
};

Said Score(
    const std::string& address, std::shared_ptr<const Security> security,
    const std::string& completion, uint32_t timeout_ms = 180000,
    std::function<void(const std::string&)> on_wait = [](const std::string&) {},
    const std::stop_token& stop = {}) {
  RewardSpec spec;
  spec.set_name("mine");
  spec.set_address(address);
  spec.set_timeout_ms(timeout_ms);
  ServiceReward reward(*MakeChannel(address, security, Service::kReward), spec);
  ScoreRequest request;
  request.set_completion(completion);
  Said said;
  said.outcome = reward.Score(request, stop, [&](const std::string& what) {
    said.waited = what;
    on_wait(what);
  });
  return said;
}

RewardFailure FailureOf(const Said& said) {
  const auto* failed = std::get_if<FailedAttempt>(&said.outcome);
  EXPECT_NE(failed, nullptr);
  return failed == nullptr ? RewardFailure::kNotStarted : failed->failure;
}

TEST(ServiceRewardTest, ScoresAndFailsByName) {
  const auto plain = Security::PlainText();
  UsersService service(plain);
  const Said right = Score(service.address(), plain, "18");
  ASSERT_TRUE(std::holds_alternative<RewardValue>(right.outcome));
  EXPECT_EQ(std::get<RewardValue>(right.outcome).verdict(), CORRECT);
  EXPECT_EQ(FailureOf(Score(service.address(), plain, "refuse")), RewardFailure::kRefused);
  EXPECT_EQ(FailureOf(Score(service.address(), plain, "break")), RewardFailure::kCrash);
  EXPECT_EQ(FailureOf(Score(service.address(), plain, "nan")), RewardFailure::kNoNumber);
  EXPECT_EQ(FailureOf(Score(service.address(), plain, "hang", 20)), RewardFailure::kTimeout);
}

TEST(ServiceRewardTest, WaitsUntilItIsServing) {
  const auto plain = Security::PlainText();
  UsersService service(plain);
  service.serving = false;
  const Said said = Score(service.address(), plain, "18", 180000,
                          [&](const std::string&) { service.serving = true; });
  EXPECT_EQ(said.waited,
            absl::StrCat("reward 'mine' at ", service.address(), ": is not serving, it says"));
  EXPECT_TRUE(std::holds_alternative<RewardValue>(said.outcome));
}

TEST(ServiceRewardTest, AStopEndsItsWait) {
  std::stop_source stop;
  const Said said = Score(
      "127.0.0.1:1", Security::PlainText(), "18", 180000,
      [&](const std::string&) { stop.request_stop(); }, stop.get_token());
  EXPECT_THAT(said.waited, HasSubstr("127.0.0.1:1: connection refused"));
}

TEST(ServiceRewardTest, ShowsTheCertificateOfAUserOfTheRun) {
  const TempFolder temp;
  const std::string folder = temp.path() + "/run";
  ASSERT_TRUE(WriteCertificates({.run = "ours", .folder = folder}).ok());
  const auto of = [&](Role role) { return *Security::Load(CertificatesOf(folder, role), role); };
  {
    UsersService service(of(Role::kUser));
    const Said said = Score(service.address(), of(Role::kActor), "18");
    EXPECT_TRUE(std::holds_alternative<RewardValue>(said.outcome)) << said.waited;
  }
  for (const auto& security : {of(Role::kLearner), Security::PlainText()}) {
    UsersService service(security);
    std::stop_source stop;
    const Said said = Score(
        service.address(), of(Role::kActor), "18", 180000,
        [&](const std::string&) { stop.request_stop(); }, stop.get_token());
    EXPECT_NE(said.waited, "");  // for another server, and told it nothing
  }
}

}  // namespace
}  // namespace reckon
