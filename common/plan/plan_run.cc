// PlanClient::Run: a whole plan from its items to its last batch.
#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/plan/pace.h"
#include "common/plan/plan_client.h"

namespace reckon {
namespace {

// Asks for items up to a group, and hands them to the plan as its window allows.
class Feeder {
 public:
  using Next = std::function<std::optional<WorkItem>()>;
  using TryAppend = std::function<absl::Status(const AppendGroupsRequest&)>;

  Feeder(const std::string& plan, uint64_t epoch, const OpenPlanReply& opened, const Next* next,
         TryAppend append)
      : plan_(plan),
        epoch_(epoch),
        appended_(opened.appended_groups()),
        ended_(opened.end_of_plan()),
        next_(next),
        append_(std::move(append)) {}

  // True: all up to `target` is appended. False: the window is full, batches have to be consumed.
  absl::StatusOr<bool> FeedTo(uint64_t target) {
    while (true) {
      RETURN_IF_ERROR(Ask(target));
      if (waiting_.empty() && (!exhausted_ || ended_)) return true;
      AppendGroupsRequest request;
      request.set_plan(plan_);
      request.set_epoch(epoch_);
      request.set_first_group(appended_);
      const int count = std::min<int>(limit_, static_cast<int>(waiting_.size()));
      for (int i = 0; i < count; ++i) *request.add_items() = waiting_[i];
      request.set_end_of_plan(exhausted_ && static_cast<size_t>(count) == waiting_.size());
      const absl::Status status = append_(request);
      if (absl::IsResourceExhausted(status)) {
        if (limit_ == 1) return false;
        limit_ = std::max(1, limit_ / 2);
        continue;
      }
      RETURN_IF_ERROR(status);
      waiting_.erase(waiting_.begin(), waiting_.begin() + count);
      appended_ += count;
      ended_ = request.end_of_plan();
      limit_ = std::min(kAppendItems, 2 * limit_);
    }
  }

 private:
  absl::Status Ask(uint64_t target) {
    while (!exhausted_ && asked_ < target && waiting_.size() < kAppendItems) {
      std::optional<WorkItem> item = (*next_)();
      if (!item.has_value()) {
        exhausted_ = true;
        if (asked_ < appended_) {
          return absl::FailedPreconditionError(
              absl::StrCat("plan '", plan_, "' was begun with ", appended_,
                           " groups or more; now there are ", asked_));
        }
        break;
      }
      item->set_group(asked_++);
      if (item->group() < appended_) continue;
      if (ended_) {
        return absl::FailedPreconditionError(absl::StrCat(
            "plan '", plan_, "' ended with ", appended_, " groups; now there are more"));
      }
      waiting_.push_back(*std::move(item));
    }
    return absl::OkStatus();
  }

  const std::string plan_;
  const uint64_t epoch_;
  uint64_t appended_;
  bool ended_;
  const Next* const next_;
  const TryAppend append_;
  std::deque<WorkItem> waiting_;
  uint64_t asked_ = 0;
  bool exhausted_ = false;
  int limit_ = kAppendItems;
};

}  // namespace

absl::Status PlanClient::Run(const PlanSpec& spec, bool keep_rollouts, uint64_t version,
                             const std::function<std::optional<WorkItem>()>& next,
                             const std::function<absl::Status(const Batch&)>& each) {
  ASSIGN_OR_RETURN(const OpenPlanReply opened, Open(spec));
  Feeder feeder(spec.name(), epoch_, opened, &next,
                [this](const AppendGroupsRequest& request) { return TryAppend(request); });
  uint64_t batch = 0;
  for (;; ++batch) {
    // One batch more than may be leased, so that actors never wait for us.
    const uint64_t target =
        (batch + spec.max_open_batches() + 1) * static_cast<uint64_t>(spec.groups_per_batch());
    NextBatchReply reply;
    while (!reply.has_header() && !reply.end_of_plan()) {
      ASSIGN_OR_RETURN(const bool fed, feeder.FeedTo(target));
      ASSIGN_OR_RETURN(reply, PollHeader(spec.name(), batch, fed ? kBatchPoll : kWindowPoll));
    }
    if (!reply.has_header()) break;
    Batch full;
    full.header = std::move(*reply.mutable_header());
    std::vector<RolloutKey> keys;
    for (const RolloutHeader& rollout : full.header.rollouts()) keys.push_back(rollout.key());
    ASSIGN_OR_RETURN(full.rollouts, Fetch(keys));
    RETURN_IF_ERROR(each(full));
    if (batch >= opened.next_batch()) RETURN_IF_ERROR(MarkApplied(spec.name(), batch, version));
  }
  // Only now: until the last batch the caller's counts are in its memory alone.
  if (batch > 0) RETURN_IF_ERROR(MarkDurable(spec.name(), batch - 1, keep_rollouts));
  return Close(spec.name());
}

}  // namespace reckon
