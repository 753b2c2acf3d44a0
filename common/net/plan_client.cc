#include "common/net/plan_client.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kStreamTimeout = absl::Minutes(2);
// Bounds of one call. A broken stream is fetched again from its first key, hence not more keys;
// the bytes stay well below kMaxMessageBytes.
constexpr int kFetchKeys = 4096;
constexpr int kAppendItems = 64;
constexpr size_t kAppendBytes = 4 << 20;

std::string Show(const RolloutKey& key) {
  return absl::StrCat(key.plan(), "/", key.group(), "/", key.sample());
}

bool SameKey(const RolloutKey& a, const RolloutKey& b) {
  return a.sample() == b.sample() && a.group() == b.group() && a.plan() == b.plan();
}

}  // namespace

PlanClient::PlanClient(Coordinator::StubInterface* stub, uint64_t term, std::stop_token stop,
                       std::function<void(const absl::Status&)> on_outage)
    : stub_(stub), term_(term), stop_(std::move(stop)), on_outage_(std::move(on_outage)) {}

absl::Status PlanClient::Call(RpcCall call) const {
  return CallWithRetry(stop_, {.attempt_timeout = kCallTimeout, .on_outage = on_outage_}, call);
}

absl::Status PlanClient::CallStream(RpcCall call) const {
  return CallWithRetry(stop_, {.attempt_timeout = kStreamTimeout, .on_outage = on_outage_}, call);
}

absl::StatusOr<OpenPlanReply> PlanClient::Open(const PlanSpec& spec) {
  OpenPlanRequest request;
  *request.mutable_spec() = spec;
  request.set_term(term_);
  OpenPlanReply reply;
  RETURN_IF_ERROR(Call(
      [&](grpc::ClientContext* context) { return stub_->OpenPlan(context, request, &reply); }));
  return reply;
}

absl::StatusOr<bool> PlanClient::AppendWhatFits(const std::string& plan, PendingGroups* pending) {
  int limit = kAppendItems;
  while (!pending->items.empty() || pending->end_of_plan) {
    AppendGroupsRequest request;
    request.set_plan(plan);
    request.set_term(term_);
    request.set_first_group(pending->first_group);
    size_t bytes = 0;
    for (const WorkItem& item : pending->items) {
      bytes += item.ByteSizeLong();
      if (request.items_size() == limit) break;
      if (bytes > kAppendBytes && request.items_size() > 0) break;
      *request.add_items() = item;
    }
    const int count = request.items_size();
    // Only with the last item, else the plan would end before the groups that are still pending.
    request.set_end_of_plan(pending->end_of_plan &&
                            static_cast<size_t>(count) == pending->items.size());
    AppendGroupsReply reply;
    const absl::Status status = Call([&](grpc::ClientContext* context) {
      return stub_->AppendGroups(context, request, &reply);
    });
    if (absl::IsResourceExhausted(status)) {
      if (limit == 1) return false;
      limit = 1;  // fill what is left of the window, doubling the number with each success
      continue;
    }
    RETURN_IF_ERROR(status);
    pending->items.erase(pending->items.begin(), pending->items.begin() + count);
    pending->first_group += count;
    if (request.end_of_plan()) pending->end_of_plan = false;
    limit = std::min(kAppendItems, 2 * limit);
  }
  return true;
}

absl::Status PlanClient::Append(const std::string& plan, uint64_t first_group,
                                std::vector<WorkItem> items, bool end_of_plan,
                                const PlanCheck& check) {
  PendingGroups pending = {.first_group = first_group, .end_of_plan = end_of_plan};
  pending.items.assign(std::make_move_iterator(items.begin()),
                       std::make_move_iterator(items.end()));
  while (true) {
    ASSIGN_OR_RETURN(const bool all, AppendWhatFits(plan, &pending));
    if (all) return absl::OkStatus();
    RETURN_IF_ERROR(check());
    if (WaitForStop(stop_, kFullWindowWait)) return absl::CancelledError("stopped");
  }
}

absl::StatusOr<NextBatchReply> PlanClient::PollBatch(const std::string& plan, uint64_t batch,
                                                     absl::Duration wait) {
  NextBatchRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  request.set_wait_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(wait)));
  NextBatchReply reply;
  RETURN_IF_ERROR(Call(
      [&](grpc::ClientContext* context) { return stub_->NextBatch(context, request, &reply); }));
  return reply;
}

absl::StatusOr<std::optional<BatchHeader>> PlanClient::NextHeader(const std::string& plan,
                                                                  uint64_t batch,
                                                                  const PlanCheck& check) {
  while (true) {
    ASSIGN_OR_RETURN(NextBatchReply reply, PollBatch(plan, batch, kBatchWait));
    if (reply.has_header()) return std::move(*reply.mutable_header());
    if (reply.end_of_plan()) return std::nullopt;
    RETURN_IF_ERROR(check());
  }
}

absl::Status PlanClient::AllSetAside(const std::string& plan, uint64_t groups) {
  GetStatusReply reply;
  RETURN_IF_ERROR(
      Call([&](grpc::ClientContext* context) { return stub_->GetStatus(context, {}, &reply); }));
  std::string error;
  for (const PlanStatus& status : reply.plans()) {
    if (status.name() == plan) error = status.last_error();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "plan '", plan, "': all ", groups, " groups were set aside; the last error: ", error));
}

absl::StatusOr<std::vector<Rollout>> PlanClient::Fetch(const std::vector<RolloutKey>& keys) {
  std::vector<Rollout> rollouts;
  rollouts.reserve(keys.size());
  while (rollouts.size() < keys.size()) {
    const size_t first = rollouts.size();
    bool damaged = false;
    FetchRolloutsRequest request;
    for (size_t i = first; i < keys.size() && request.keys_size() < kFetchKeys; ++i) {
      *request.add_keys() = keys[i];
    }
    RETURN_IF_ERROR(CallStream([&](grpc::ClientContext* context) {
      rollouts.resize(first);  // drop what a broken stream had delivered
      damaged = false;
      auto reader = stub_->FetchRollouts(context, request);
      FetchRolloutsReply reply;
      while (reader->Read(&reply)) {
        for (const std::string& bytes : reply.rollouts()) {
          damaged = !rollouts.emplace_back().ParseFromString(bytes) || damaged;
        }
      }
      return reader->Finish();
    }));
    if (damaged) return absl::DataLossError("the coordinator sent a damaged rollout");
    if (rollouts.size() != first + request.keys_size()) {
      return absl::InternalError(absl::StrCat("the coordinator sent ", rollouts.size() - first,
                                              " rollouts for ", request.keys_size(), " keys"));
    }
    for (size_t i = first; i < rollouts.size(); ++i) {
      // Callers rely on the order of the keys, and a coordinator that lost a rollout would shift
      // all that follow.
      if (!SameKey(rollouts[i].key(), keys[i])) {
        return absl::InternalError(absl::StrCat("the coordinator sent rollout ",
                                                Show(rollouts[i].key()), " for ", Show(keys[i])));
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
  request.set_term(term_);
  MarkReply reply;
  return Call(
      [&](grpc::ClientContext* context) { return stub_->MarkApplied(context, request, &reply); });
}

absl::Status PlanClient::MarkDurable(const std::string& plan, uint64_t batch) {
  MarkDurableRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  request.set_term(term_);
  MarkReply reply;
  return Call(
      [&](grpc::ClientContext* context) { return stub_->MarkDurable(context, request, &reply); });
}

absl::Status PlanClient::Close(const std::string& plan) {
  ClosePlanRequest request;
  request.set_plan(plan);
  request.set_term(term_);
  MarkReply reply;
  return Call(
      [&](grpc::ClientContext* context) { return stub_->ClosePlan(context, request, &reply); });
}

absl::Status PlanClient::AppendSelection(const AppendSelectionRequest& request) {
  AppendSelectionRequest fenced = request;
  fenced.set_term(term_);
  MarkReply reply;
  return Call([&](grpc::ClientContext* context) {
    return stub_->AppendSelection(context, fenced, &reply);
  });
}

absl::Status PlanClient::ReadSelection(
    const std::string& name, const std::function<void(const std::vector<RolloutKey>&)>& each) {
  GetSelectionRequest request;
  request.set_name(name);
  size_t handed = 0;  // keys given to `each`; a retry reads from the first key again
  bool complete = true;
  RETURN_IF_ERROR(CallStream([&](grpc::ClientContext* context) {
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
      // `each` may take longer than the stream's deadline, as when it scores what it is given. The
      // retry then reads from the first key again and skips what was handed over, so every attempt
      // makes progress.
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
