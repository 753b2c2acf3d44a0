#include "common/plan/plan_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "common/plan/pace.h"

namespace reckon {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kStreamTimeout = absl::Minutes(2);
constexpr int kFetchKeys = 4096;
constexpr size_t kAppendBytes = 4 << 20;

std::string Show(const RolloutKey& key) {
  return absl::StrCat(key.plan(), "/", key.group(), "/", key.sample());
}

bool SameKey(const RolloutKey& a, const RolloutKey& b) {
  return a.sample() == b.sample() && a.group() == b.group() && a.plan() == b.plan();
}

}  // namespace

PlanClient::PlanClient(Coordinator::StubInterface* stub, uint64_t epoch, const StopToken* stop)
    : stub_(stub), epoch_(epoch), stop_(stop) {}

absl::Status PlanClient::Retry(
    absl::Duration timeout, const std::function<grpc::Status(grpc::ClientContext*)>& call) const {
  absl::Duration pause = absl::Milliseconds(50);
  while (true) {
    if (stop_->stopped()) return absl::CancelledError("stopped");
    grpc::ClientContext context;
    SetDeadline(&context, timeout);
    const absl::Status status = FromGrpc(call(&context));
    // We never cancel a call, so a cancelled one was ended by a coordinator that is stopping.
    if (!IsTransient(status) && !absl::IsCancelled(status)) return status;
    if (stop_->WaitFor(pause)) return absl::CancelledError("stopped");
    pause = std::min(2 * pause, absl::Seconds(2));
  }
}

absl::StatusOr<OpenPlanReply> PlanClient::Open(const PlanSpec& spec) {
  OpenPlanRequest request;
  *request.mutable_spec() = spec;
  request.set_epoch(epoch_);
  OpenPlanReply reply;
  RETURN_IF_ERROR(Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->OpenPlan(context, request, &reply);
  }));
  return reply;
}

absl::Status PlanClient::TryAppend(const AppendGroupsRequest& request) {
  AppendGroupsReply reply;
  return Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->AppendGroups(context, request, &reply);
  });
}

absl::Status PlanClient::Append(const std::string& plan, uint64_t first_group,
                                std::vector<WorkItem> items, bool end_of_plan) {
  int limit = kAppendItems;
  size_t sent = 0;
  do {
    AppendGroupsRequest request;
    request.set_plan(plan);
    request.set_epoch(epoch_);
    request.set_first_group(first_group + sent);
    size_t bytes = 0;
    for (size_t i = sent; i < items.size() && request.items_size() < limit; ++i) {
      bytes += items[i].ByteSizeLong();
      if (bytes > kAppendBytes && request.items_size() > 0) break;
      *request.add_items() = items[i];
    }
    const size_t count = request.items_size();
    request.set_end_of_plan(end_of_plan && sent + count == items.size());
    const absl::Status status = TryAppend(request);
    if (absl::IsResourceExhausted(status)) {
      limit = std::max(1, limit / 2);
      if (stop_->WaitFor(kWindowPoll)) return absl::CancelledError("stopped");
      continue;
    }
    RETURN_IF_ERROR(status);
    sent += count;
  } while (sent < items.size());
  return absl::OkStatus();
}

absl::StatusOr<NextBatchReply> PlanClient::PollHeader(const std::string& plan, uint64_t batch,
                                                      absl::Duration wait) {
  NextBatchRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  request.set_wait_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(wait)));
  NextBatchReply reply;
  RETURN_IF_ERROR(Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->NextBatch(context, request, &reply);
  }));
  return reply;
}

absl::StatusOr<std::optional<BatchHeader>> PlanClient::NextHeader(const std::string& plan,
                                                                  uint64_t batch) {
  while (true) {
    ASSIGN_OR_RETURN(NextBatchReply reply, PollHeader(plan, batch, kBatchPoll));
    if (reply.has_header()) return std::move(*reply.mutable_header());
    if (reply.end_of_plan()) return std::nullopt;
  }
}

absl::StatusOr<std::vector<Rollout>> PlanClient::Fetch(const std::vector<RolloutKey>& keys) {
  std::vector<Rollout> rollouts;
  rollouts.reserve(keys.size());
  while (rollouts.size() < keys.size()) {
    const size_t first = rollouts.size();
    FetchRolloutsRequest request;
    for (size_t i = first; i < keys.size() && request.keys_size() < kFetchKeys; ++i) {
      *request.add_keys() = keys[i];
    }
    RETURN_IF_ERROR(Retry(kStreamTimeout, [&](grpc::ClientContext* context) {
      rollouts.resize(first);  // what a broken stream left
      auto reader = stub_->FetchRollouts(context, request);
      FetchRolloutsReply reply;
      while (reader->Read(&reply)) {
        for (Rollout& rollout : *reply.mutable_rollouts()) rollouts.push_back(std::move(rollout));
      }
      return reader->Finish();
    }));
    if (rollouts.size() != first + request.keys_size()) {
      return absl::InternalError("the coordinator sent another number of rollouts than asked");
    }
    for (size_t i = first; i < rollouts.size(); ++i) {
      if (!SameKey(rollouts[i].key(), keys[i])) {
        return absl::InternalError(
            absl::StrCat("the coordinator sent ", Show(rollouts[i].key()), " for ", Show(keys[i])));
      }
    }
  }
  return rollouts;
}

absl::Status PlanClient::MarkApplied(const std::string& plan, uint64_t batch, uint64_t version) {
  MarkAppliedRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  request.set_version(version);
  request.set_epoch(epoch_);
  MarkReply reply;
  return Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->MarkApplied(context, request, &reply);
  });
}

absl::Status PlanClient::MarkDurable(const std::string& plan, uint64_t batch, bool keep_rollouts) {
  MarkDurableRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  request.set_keep_rollouts(keep_rollouts);
  request.set_epoch(epoch_);
  MarkReply reply;
  return Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->MarkDurable(context, request, &reply);
  });
}

absl::Status PlanClient::Close(const std::string& plan) {
  ClosePlanRequest request;
  request.set_plan(plan);
  request.set_epoch(epoch_);
  MarkReply reply;
  return Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->ClosePlan(context, request, &reply);
  });
}

absl::Status PlanClient::AppendSelection(const AppendSelectionRequest& request) {
  AppendSelectionRequest fenced = request;
  fenced.set_epoch(epoch_);
  MarkReply reply;
  return Retry(kCallTimeout, [&](grpc::ClientContext* context) {
    return stub_->AppendSelection(context, fenced, &reply);
  });
}

absl::Status PlanClient::ReadSelection(
    const std::string& name, const std::function<void(const std::vector<RolloutKey>&)>& each) {
  GetSelectionRequest request;
  request.set_name(name);
  size_t handed = 0;  // over all attempts: a retry reads from the first key again
  bool complete = true;
  RETURN_IF_ERROR(Retry(kStreamTimeout, [&](grpc::ClientContext* context) {
    auto reader = stub_->GetSelection(context, request);
    GetSelectionReply reply;
    size_t at = 0;
    complete = true;
    while (complete && reader->Read(&reply)) {
      complete = reply.complete();
      std::vector<RolloutKey> keys;
      for (RolloutKey& key : *reply.mutable_keys()) {
        if (at++ >= handed) keys.push_back(std::move(key));
      }
      handed = std::max(handed, at);
      if (complete && !keys.empty()) each(keys);
    }
    if (!complete) context->TryCancel();
    const grpc::Status status = reader->Finish();
    return complete ? status : grpc::Status::OK;
  }));
  if (complete) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("selection '", name, "' is not complete"));
}

}  // namespace reckon
