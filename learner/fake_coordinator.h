#ifndef RECKON_LEARNER_FAKE_COORDINATOR_H_
#define RECKON_LEARNER_FAKE_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// For tests: a coordinator and its actors in one, in memory. Groups are sampled by a function when
// they are appended; batches are cut in key order. Serves on a free port until it goes.
// Thread-safe.
class FakeCoordinator : public Coordinator::Service {
 public:
  using Sampler = std::function<Rollout(const PlanSpec&, const WorkItem&, uint32_t sample)>;
  explicit FakeCoordinator(Sampler sampler = nullptr);
  ~FakeCoordinator() override;

  std::string address() const { return address_; }
  std::shared_ptr<Coordinator::StubInterface> NewStub() const;

  std::map<std::string, GetSelectionReply> selections() const;
  std::map<std::string, PlanSpec> plans() const;
  std::map<uint64_t, WeightManifest> weights() const;

  grpc::Status BeginEpoch(grpc::ServerContext*, const BeginEpochRequest*,
                          BeginEpochReply*) override;
  grpc::Status Store(grpc::ServerContext*, const StoreRequest*, StoreReply*) override;
  grpc::Status OpenPlan(grpc::ServerContext*, const OpenPlanRequest*, OpenPlanReply*) override;
  grpc::Status AppendGroups(grpc::ServerContext*, const AppendGroupsRequest*,
                            AppendGroupsReply*) override;
  grpc::Status NextBatch(grpc::ServerContext*, const NextBatchRequest*, NextBatchReply*) override;
  grpc::Status FetchRollouts(grpc::ServerContext*, const FetchRolloutsRequest*,
                             grpc::ServerWriter<FetchRolloutsReply>*) override;
  grpc::Status MarkApplied(grpc::ServerContext*, const MarkAppliedRequest*, MarkReply*) override;
  grpc::Status MarkDurable(grpc::ServerContext*, const MarkDurableRequest*, MarkReply*) override;
  grpc::Status ClosePlan(grpc::ServerContext*, const ClosePlanRequest*, MarkReply*) override;
  grpc::Status AppendSelection(grpc::ServerContext*, const AppendSelectionRequest*,
                               MarkReply*) override;
  grpc::Status GetSelection(grpc::ServerContext*, const GetSelectionRequest*,
                            grpc::ServerWriter<GetSelectionReply>*) override;
  grpc::Status PublishWeights(grpc::ServerContext*, const PublishWeightsRequest*,
                              MarkReply*) override;
  grpc::Status GetStatus(grpc::ServerContext*, const GetStatusRequest*, GetStatusReply*) override;

 private:
  struct Plan {
    PlanSpec spec;
    std::vector<std::vector<Rollout>> groups;
    bool end = false;
    uint64_t applied = 0;
  };

  const Sampler sampler_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  mutable absl::Mutex mu_;
  std::map<std::string, Plan> plans_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, GetSelectionReply> selections_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, WeightManifest> weights_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> store_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, uint64_t> epochs_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_LEARNER_FAKE_COORDINATOR_H_
