#include "coordinator/service/service.h"

#include <memory>
#include <optional>
#include <utility>

#include "common/net/channel.h"
#include "coordinator/service/read_streams.h"
#include "coordinator/service/submit_stream.h"

namespace reckon {
namespace {

template <typename Reply>
absl::Status Put(absl::StatusOr<Reply> result, Reply* reply) {
  if (result.ok()) *reply = *std::move(result);
  return result.status();
}

}  // namespace

template <typename Event>
grpc::ServerUnaryReactor* CoordinatorService::Now(Context* context, Event event) {
  Unary* reactor = context->DefaultReactor();
  auto result = std::make_shared<absl::Status>();
  committer_->Do(
      [&](Core& core, absl::Time now, Reads& reads) { *result = event(core, now, reads); },
      [reactor, result](const absl::Status& durable) {
        reactor->Finish(ToGrpc(durable.ok() ? *result : durable));
      });
  return reactor;
}

template <typename Answer, typename Try, typename Fill>
grpc::ServerUnaryReactor* CoordinatorService::Wait(Context* context, Changed kind, uint32_t wait_ms,
                                                   Try attempt, Fill reply) {
  Unary* reactor = context->DefaultReactor();
  auto result = std::make_shared<absl::StatusOr<std::optional<Answer>>>(std::nullopt);
  committer_->Await(
      kind, absl::Milliseconds(wait_ms),
      [=](Core& core, absl::Time now, bool last, Reads& reads) {
        // A lease of a caller that has disconnected would block its samples until it expires.
        if (context->IsCancelled()) {
          *result = absl::CancelledError("the caller has disconnected");
          return true;
        }
        *result = attempt(core, now, last, reads);
        // The last attempt without an answer is answered with an empty reply, which the caller
        // takes for "not yet" and asks again.
        return !result->ok() || (*result)->has_value() || last;
      },
      [=](const absl::Status& durable) {
        if (durable.ok() && result->ok() && (*result)->has_value()) reply(***result);
        reactor->Finish(ToGrpc(durable.ok() ? result->status() : durable));
      });
  return reactor;
}

// Moves an answer that is the reply itself.
template <typename Reply>
auto Into(Reply* out) {
  return [out](Reply& answer) { *out = std::move(answer); };
}

#define RECKON_EVENT(call) \
  [=](Core& core, absl::Time now, Reads& reads) -> absl::Status { return call; }

grpc::ServerUnaryReactor* CoordinatorService::OpenPlan(Context* context, const OpenPlanRequest* in,
                                                       OpenPlanReply* out) {
  return Now(context, RECKON_EVENT(Put(core.OpenPlan(*in, reads), out)));
}

grpc::ServerUnaryReactor* CoordinatorService::AppendGroups(Context* context,
                                                           const AppendGroupsRequest* in,
                                                           AppendGroupsReply* out) {
  return Now(context, RECKON_EVENT(Put(core.AppendGroups(*in, reads), out)));
}

grpc::ServerUnaryReactor* CoordinatorService::NextBatch(Context* context,
                                                        const NextBatchRequest* in,
                                                        NextBatchReply* out) {
  return Wait<NextBatchAnswer>(
      context, kBatchesChanged, in->wait_ms(),
      [in](Core& core, absl::Time, bool, Reads& reads) { return core.NextBatch(*in, reads); },
      [out](const NextBatchAnswer& answer) {
        if (answer.header != nullptr) *out->mutable_header() = *answer.header;
        out->set_end_of_plan(answer.end_of_plan);
      });
}

grpc::ServerUnaryReactor* CoordinatorService::MarkApplied(Context* context,
                                                          const MarkAppliedRequest* in,
                                                          MarkReply*) {
  return Now(context, RECKON_EVENT(core.MarkApplied(*in, reads)));
}

grpc::ServerUnaryReactor* CoordinatorService::MarkDurable(Context* context,
                                                          const MarkDurableRequest* in,
                                                          MarkReply*) {
  return Now(context, RECKON_EVENT(core.MarkDurable(*in, reads)));
}

grpc::ServerUnaryReactor* CoordinatorService::ClosePlan(Context* context,
                                                        const ClosePlanRequest* in, MarkReply*) {
  return Now(context, RECKON_EVENT(core.ClosePlan(*in, reads)));
}

grpc::ServerWriteReactor<FetchRolloutsReply>* CoordinatorService::FetchRollouts(
    Context*, const FetchRolloutsRequest* in) {
  return NewFetchStream(store_, *in);
}

grpc::ServerUnaryReactor* CoordinatorService::Lease(Context* context, const LeaseRequest* in,
                                                    LeaseReply* out) {
  return Wait<LeaseReply>(
      context, kWorkChanged, in->wait_ms(),
      [in](Core& core, absl::Time now, bool, Reads&) -> absl::StatusOr<std::optional<LeaseReply>> {
        absl::StatusOr<LeaseReply> reply = core.Lease(*in, now);
        if (!reply.ok()) return reply.status();
        // No work: waits for some instead of making the actor ask again.
        if (reply->leases_size() == 0 && in->max_samples() > 0) return std::nullopt;
        return *std::move(reply);
      },
      Into(out));
}

grpc::ServerUnaryReactor* CoordinatorService::RenewLeases(Context* context,
                                                          const RenewLeasesRequest* in,
                                                          RenewLeasesReply* out) {
  return Now(context, RECKON_EVENT(Put(core.RenewLeases(*in, now), out)));
}

grpc::ServerUnaryReactor* CoordinatorService::ReturnLeases(Context* context,
                                                           const ReturnLeasesRequest* in,
                                                           ReturnLeasesReply*) {
  return Now(context, RECKON_EVENT(core.ReturnLeases(*in, now)));
}

grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* CoordinatorService::Submit(Context*) {
  return NewSubmitStream(committer_, security_, &submit_limits_);
}

grpc::ServerUnaryReactor* CoordinatorService::AppendSelection(Context* context,
                                                              const AppendSelectionRequest* in,
                                                              MarkReply*) {
  return Now(context, RECKON_EVENT(core.AppendSelection(*in, reads)));
}

grpc::ServerWriteReactor<GetSelectionReply>* CoordinatorService::GetSelection(
    Context*, const GetSelectionRequest* in) {
  return NewSelectionStream(store_, in->name());
}

grpc::ServerUnaryReactor* CoordinatorService::PublishWeights(Context* context,
                                                             const PublishWeightsRequest* in,
                                                             MarkReply*) {
  return Now(context, RECKON_EVENT(core.PublishWeights(*in)));
}

grpc::ServerUnaryReactor* CoordinatorService::GetManifest(Context* context,
                                                          const GetManifestRequest* in,
                                                          GetManifestReply* out) {
  return Wait<GetManifestReply>(
      context, kWeightsChanged, in->wait_ms(),
      [in](Core& core, absl::Time, bool, Reads& reads) { return core.GetManifest(*in, reads); },
      Into(out));
}

grpc::ServerUnaryReactor* CoordinatorService::BeginTerm(Context* context,
                                                        const BeginTermRequest* in,
                                                        BeginTermReply* out) {
  return Now(context, RECKON_EVENT(Put(core.BeginTerm(*in), out)));
}

grpc::ServerUnaryReactor* CoordinatorService::Rendezvous(Context* context,
                                                         const RendezvousRequest* in,
                                                         RendezvousReply* out) {
  return Wait<RendezvousReply>(
      context, kKeysChanged, in->wait_ms(),
      [in](Core& core, absl::Time, bool last, Reads&) { return core.UseRendezvous(*in, last); },
      Into(out));
}

grpc::ServerUnaryReactor* CoordinatorService::Heartbeat(Context* context,
                                                        const HeartbeatRequest* in,
                                                        HeartbeatReply* out) {
  return Now(context, RECKON_EVENT(Put(core.Heartbeat(*in, now), out)));
}

grpc::ServerUnaryReactor* CoordinatorService::GetStatus(Context* context,
                                                        const GetStatusRequest* in,
                                                        GetStatusReply* out) {
  Unary* reactor = context->DefaultReactor();
  auto stored = std::make_shared<PlanStatuses>();
  if (in->finished_plans()) {
    // By this thread, because all replies wait for the committer's. Before the event: a plan that
    // leaves memory after it was read is in what was read.
    absl::StatusOr<PlanStatuses> read = ReadPlans(*store_);
    if (!read.ok()) {
      reactor->Finish(ToGrpc(read.status()));
      return reactor;
    }
    *stored = *std::move(read);
  }
  committer_->Do(
      [&](Core& core, absl::Time now, Reads&) { *out = core.Status(now, in->finished_plans()); },
      [=](const absl::Status& durable) {
        if (in->finished_plans()) AddFinishedPlans(std::move(*stored), out);
        reactor->Finish(ToGrpc(durable));
      });
  return reactor;
}

#undef RECKON_EVENT

}  // namespace reckon
