#include "common/net/plan_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

// Items taken from `next` before they are appended.
constexpr size_t kMaxPending = 64;

// Numbers the items of `next` and appends them as far as the plan and its window want.
class Feeder {
 public:
  using Next = std::function<std::optional<WorkItem>()>;

  Feeder(PlanClient* client, std::string plan, const OpenPlanReply& opened, const Next* next)
      : client_(client), plan_(std::move(plan)), opened_(opened), next_(next) {
    pending_.first_group = opened.appended_groups();
  }

  // Returns true when all groups below `target` are appended, and false when the window is full.
  absl::StatusOr<bool> FeedTo(uint64_t target) {
    while (true) {
      RETURN_IF_ERROR(Fill(target));
      if (pending_.items.empty() && !pending_.end_of_plan) return true;
      ASSIGN_OR_RETURN(const bool all, client_->AppendWhatFits(plan_, &pending_));
      if (!all) return false;
    }
  }

 private:
  absl::Status Fill(uint64_t target) {
    while (!exhausted_ && taken_ < target && pending_.items.size() < kMaxPending) {
      std::optional<WorkItem> item = (*next_)();
      if (!item.has_value()) {
        exhausted_ = true;
        pending_.end_of_plan = !opened_.end_of_plan();
        if (taken_ >= opened_.appended_groups()) break;
        return absl::FailedPreconditionError(
            absl::StrCat("plan '", plan_, "' was started with at least ", opened_.appended_groups(),
                         " groups and now has ", taken_, "; resume it with the same items"));
      }
      item->set_group(taken_++);
      if (item->group() < opened_.appended_groups()) continue;
      if (opened_.end_of_plan()) {
        return absl::FailedPreconditionError(
            absl::StrCat("plan '", plan_, "' ended with ", opened_.appended_groups(),
                         " groups and now has more; resume it with the same items"));
      }
      pending_.items.push_back(*std::move(item));
    }
    return absl::OkStatus();
  }

  PlanClient* const client_;
  const std::string plan_;
  const OpenPlanReply opened_;
  const Next* const next_;
  PlanClient::PendingGroups pending_;
  uint64_t taken_ = 0;  // items that `next` has returned
  bool exhausted_ = false;
};

}  // namespace

absl::Status RunPlanToEnd(PlanClient* client, const PlanSpec& spec, uint64_t version,
                          const std::function<std::optional<WorkItem>()>& next,
                          const std::function<absl::Status(const Batch&)>& each,
                          const PlanCheck& check) {
  ASSIGN_OR_RETURN(const OpenPlanReply opened, client->Open(spec));
  Feeder feeder(client, spec.name(), opened, &next);
  uint64_t b = 0, rollouts = 0, set_aside = 0;
  for (;; ++b) {
    const uint64_t target =
        (b + spec.max_open_batches() + 1) * static_cast<uint64_t>(spec.groups_per_batch());
    NextBatchReply reply;
    while (!reply.has_header() && !reply.end_of_plan()) {
      // Append and poll in turns: with a full window the poll is short, because only batches that
      // are consumed make room for the rest of the items.
      ASSIGN_OR_RETURN(const bool fed, feeder.FeedTo(target));
      ASSIGN_OR_RETURN(reply,
                       client->PollBatch(spec.name(), b, fed ? kBatchWait : kFullWindowWait));
      if (!reply.has_header()) RETURN_IF_ERROR(check());
    }
    if (!reply.has_header()) break;
    Batch batch;
    batch.header = std::move(*reply.mutable_header());
    std::vector<RolloutKey> keys;
    for (const RolloutHeader& rollout : batch.header.rollouts()) keys.push_back(rollout.key());
    ASSIGN_OR_RETURN(batch.rollouts, client->Fetch(keys));
    rollouts += batch.rollouts.size();
    set_aside += batch.header.set_aside_size();
    RETURN_IF_ERROR(each(batch));
    // The interrupted run has applied the batches before that.
    if (b >= opened.next_batch()) {
      RETURN_IF_ERROR(client->MarkApplied(spec.name(), b, version));
    }
  }
  if (rollouts == 0 && set_aside > 0) return client->AllSetAside(spec.name(), set_aside);
  return client->Close(spec.name());
}

}  // namespace reckon
