#ifndef RECKON_COMMON_REWARD_SERVICE_REWARD_H_
#define RECKON_COMMON_REWARD_SERVICE_REWARD_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/reward/reward_worker.h"
#include "grpcpp/grpcpp.h"
#include "proto/reward.pb.h"

namespace reckon {

// RewardSpec.SERVICE: a service of the user's (proto/reward_service.proto).
//
//   not known --Health.Check says SERVING--> healthy --Score--> replies, call after call
//       ^                                      |
//       `--------- the call has failed <-------'
//
// While it is not healthy no attempt is made, and nothing fails: it is asked again every second. A
// service without grpc.health.v1.Health counts as healthy.
class ServiceReward final : public RewardWorker {
 public:
  // `channel` leads to the spec's address; workers may share it.
  ServiceReward(std::shared_ptr<grpc::Channel> channel, const RewardSpec& spec);
  RewardOutcome Score(const ScoreRequest& request, const std::stop_token& stop,
                      absl::FunctionRef<void(const std::string&)> waits) override;

 private:
  absl::Status CheckHealth(const std::stop_token& stop);

  const std::shared_ptr<grpc::Channel> channel_;
  const RewardSpec spec_;
  bool healthy_ = false;
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_SERVICE_REWARD_H_
