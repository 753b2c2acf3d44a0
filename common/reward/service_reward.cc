#include "common/reward/service_reward.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/stop.h"
#include "common/net/channel.h"
#include "common/net/retry.h"
#include "common/reward/reward_lines.h"
#include "proto/health.grpc.pb.h"
#include "proto/reward_service.grpc.pb.h"

namespace reckon {
namespace {

constexpr absl::Duration kHealthDeadline = absl::Seconds(2);
constexpr absl::Duration kAskAgain = absl::Seconds(1);
constexpr size_t kErrorBytes = 300;  // of an error of the service

RewardFailure FailureOfCall(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return RewardFailure::kTimeout;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return RewardFailure::kRefused;
    default:
      return RewardFailure::kCrash;
  }
}

}  // namespace

ServiceReward::ServiceReward(std::shared_ptr<grpc::Channel> channel, const RewardSpec& spec)
    : channel_(std::move(channel)), spec_(spec) {}

absl::Status ServiceReward::CheckHealth(const std::stop_token& stop) {
  using grpc::health::v1::HealthCheckResponse;
  const auto stub = grpc::health::v1::Health::NewStub(channel_);
  HealthCheckResponse reply;
  const absl::Status asked = CallOnce(stop, kHealthDeadline, [&](grpc::ClientContext* context) {
    return stub->Check(context, {}, &reply);
  });
  if (absl::IsUnimplemented(asked)) return absl::OkStatus();
  if (!asked.ok()) return absl::Status(asked.code(), PlainReason(asked));
  return reply.status() == HealthCheckResponse::SERVING
             ? absl::OkStatus()
             : absl::UnavailableError("is not serving, it says");
}

RewardOutcome ServiceReward::Score(const ScoreRequest& request, const std::stop_token& stop,
                                   absl::FunctionRef<void(const std::string&)> waits) {
  while (!healthy_) {
    const absl::Status health = CheckHealth(stop);
    healthy_ = health.ok();
    if (healthy_) break;
    waits(absl::StrCat("reward '", spec_.name(), "' at ", spec_.address(), ": ",
                       Printable(health.message(), kErrorBytes)));
    if (WaitForStop(stop, kAskAgain)) return FailedAttempt{RewardFailure::kCrash, "stopped"};
  }
  const auto stub = RewardService::NewStub(channel_);
  ScoreReply reply;
  const absl::Status called =
      CallOnce(stop, absl::Milliseconds(spec_.timeout_ms()),
               [&](grpc::ClientContext* context) { return stub->Score(context, request, &reply); });
  if (called.ok()) return MakeRewardValue(request, reply);
  const RewardFailure failure = FailureOfCall(called);
  healthy_ = failure == RewardFailure::kRefused;
  return FailedAttempt{failure, failure == RewardFailure::kTimeout
                                    ? absl::StrCat("no reply within ", spec_.timeout_ms(), " ms")
                                    : Printable(PlainReason(called), kErrorBytes)};
}

}  // namespace reckon
