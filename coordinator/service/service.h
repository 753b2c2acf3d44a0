#ifndef RECKON_COORDINATOR_SERVICE_SERVICE_H_
#define RECKON_COORDINATOR_SERVICE_SERVICE_H_

#include "common/net/security.h"
#include "coordinator/service/committer.h"
#include "coordinator/service/submit_limits.h"
#include "coordinator/store/store.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// The RPCs of proto/coordinator.proto, in three kinds:
//   events    run at once on the core and are answered when durable       (Now)
//   waits     are tried until there is an answer or their time is over    (Wait)
//   streams   submit_stream.h and read_streams.h
// Contains no logic of its own: what a call means is in the core. No call holds a thread while it
// waits. `committer` and `store` outlive the server that it is registered with.
class CoordinatorService final : public Coordinator::CallbackService {
 public:
  CoordinatorService(Committer* committer, const Store* store,
                     std::shared_ptr<const Security> security)
      : committer_(committer), store_(store), security_(std::move(security)) {}

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
  Unary* BeginTerm(Context*, const BeginTermRequest*, BeginTermReply*) override;
  Unary* Rendezvous(Context*, const RendezvousRequest*, RendezvousReply*) override;
  Unary* Heartbeat(Context*, const HeartbeatRequest*, HeartbeatReply*) override;
  Unary* GetStatus(Context*, const GetStatusRequest*, GetStatusReply*) override;

 private:
  // `event(core, now, reads)` returns the status of the reply.
  template <typename Event>
  Unary* Now(Context* context, Event event);
  // `attempt(core, now, last, reads)` returns an answer, or nothing when there is none yet. `reply`
  // takes the answer without the core's lock.
  template <typename Answer, typename Try, typename Fill>
  Unary* Wait(Context* context, Changed kind, uint32_t wait_ms, Try attempt, Fill reply);

  Committer* const committer_;
  const Store* const store_;
  const std::shared_ptr<const Security> security_;  // of the server
  SubmitLimits submit_limits_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_SERVICE_H_
