#ifndef RECKON_COORDINATOR_SERVICE_H_
#define RECKON_COORDINATOR_SERVICE_H_

#include "coordinator/committer.h"
#include "coordinator/store.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// proto/coordinator.proto over the core: takes the request, runs its event, replies once durable.
// Waits hold no thread. `committer` and `store` outlive the server it is registered with.
class CoordinatorService final : public Coordinator::CallbackService {
 public:
  CoordinatorService(Committer* committer, const class Store* store)
      : committer_(committer), store_(store) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  Unary* OpenPlan(Context*, const OpenPlanRequest*, OpenPlanReply*) override;
  Unary* AppendGroups(Context*, const AppendGroupsRequest*, AppendGroupsReply*) override;
  Unary* NextBatch(Context*, const NextBatchRequest*, NextBatchReply*) override;
  Unary* MarkApplied(Context*, const MarkAppliedRequest*, MarkReply*) override;
  Unary* MarkDurable(Context*, const MarkDurableRequest*, MarkReply*) override;
  Unary* ClosePlan(Context*, const ClosePlanRequest*, MarkReply*) override;
  grpc::ServerWriteReactor<FetchRolloutsReply>* FetchRollouts(Context*,
                                                              const FetchRolloutsRequest*) override;

  Unary* Lease(Context*, const LeaseRequest*, LeaseReply*) override;
  Unary* RenewLeases(Context*, const RenewLeasesRequest*, RenewLeasesReply*) override;
  Unary* ReturnLeases(Context*, const ReturnLeasesRequest*, ReturnLeasesReply*) override;
  grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* Submit(Context*) override;

  Unary* AppendSelection(Context*, const AppendSelectionRequest*, MarkReply*) override;
  grpc::ServerWriteReactor<GetSelectionReply>* GetSelection(Context*,
                                                            const GetSelectionRequest*) override;

  Unary* PublishWeights(Context*, const PublishWeightsRequest*, MarkReply*) override;
  Unary* GetManifest(Context*, const GetManifestRequest*, GetManifestReply*) override;
  Unary* BeginEpoch(Context*, const BeginEpochRequest*, BeginEpochReply*) override;
  Unary* Store(Context*, const StoreRequest*, StoreReply*) override;
  Unary* GetStatus(Context*, const GetStatusRequest*, GetStatusReply*) override;

 private:
  template <typename Event>
  Unary* Now(Context* context, Event event);
  template <typename Reply, typename Try>
  Unary* Wait(Context* context, Changed kind, uint32_t wait_ms, Reply* reply, Try attempt);

  Committer* const committer_;
  const class Store* const store_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_H_
