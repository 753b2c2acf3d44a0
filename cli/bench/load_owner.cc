#include "cli/bench/load_owner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

constexpr absl::Duration kAppendPause = absl::Milliseconds(20);  // between appends
constexpr absl::Duration kFetchTimeout = absl::Seconds(60);

}  // namespace

LoadOwner::LoadOwner(Coordinator::StubInterface* stub, const LoadPlan* plan, uint32_t durable_every)
    : stub_(stub),
      plan_(plan),
      durable_every_(durable_every),
      client_(stub, /*term=*/0, stop_.get_token()) {
  thread_ = std::thread([this] { status_ = Run(); });
}

LoadOwner::~LoadOwner() { Stop().IgnoreError(); }

absl::Status LoadOwner::Stop() {
  stop_.request_stop();
  if (thread_.joinable()) thread_.join();
  return absl::IsCancelled(status_) ? absl::OkStatus() : status_;
}

absl::Status LoadOwner::Run() {
  const PlanSpec& spec = plan_->spec();
  RETURN_IF_ERROR(client_.Open(spec).status());
  PlanClient::PendingGroups pending;
  uint64_t appended = 0;
  while (!stop_.stop_requested()) {
    // As RunPlanToEnd: one batch further than actors may lease.
    const uint64_t limit = (batches_ + spec.max_open_batches() + 1) * spec.groups_per_batch();
    for (; appended < limit; ++appended) pending.items.push_back(plan_->Item(appended));
    RETURN_IF_ERROR(client_.AppendWhatFits(spec.name(), &pending).status());
    bool taken = false;
    RETURN_IF_ERROR(TakeBatch(batches_, &taken));
    if (!taken) continue;
    RETURN_IF_ERROR(client_.MarkApplied(spec.name(), batches_, /*version=*/0));
    if (batches_ % durable_every_ == durable_every_ - 1) {
      RETURN_IF_ERROR(client_.MarkDurable(spec.name(), batches_));
    }
    ++batches_;
  }
  return absl::OkStatus();
}

absl::Status LoadOwner::TakeBatch(uint64_t batch, bool* taken) {
  ASSIGN_OR_RETURN(const NextBatchReply reply,
                   client_.PollBatch(plan_->spec().name(), batch, kAppendPause));
  *taken = reply.has_header();
  if (!*taken) return absl::OkStatus();
  // The bytes are counted and not parsed, as one core serves the whole load.
  FetchRolloutsRequest request;
  for (const RolloutHeader& rollout : reply.header().rollouts())
    *request.add_keys() = rollout.key();
  grpc::ClientContext context;
  SetDeadline(&context, kFetchTimeout);
  auto reader = stub_->FetchRollouts(&context, request);
  FetchRolloutsReply part;
  uint64_t fetched = 0;
  while (reader->Read(&part)) fetched += part.rollouts_size();
  RETURN_IF_ERROR(FromGrpc(reader->Finish()));
  if (fetched != static_cast<uint64_t>(request.keys_size())) {
    return absl::InternalError(absl::StrCat("batch ", batch, " has ", request.keys_size(),
                                            " rollouts, and ", fetched, " were sent"));
  }
  rollouts_ += fetched;
  return absl::OkStatus();
}

}  // namespace reckon
