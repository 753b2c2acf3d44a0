#ifndef RECKON_COMMON_NET_PLAN_RUN_H_
#define RECKON_COMMON_NET_PLAN_RUN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "common/net/plan_client.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

struct Batch {
  BatchHeader header;
  std::vector<Rollout> rollouts;  // in the order of header.rollouts
};

// Runs a whole plan from its first work item to its last batch:
//
//   1. Open the plan.
//   2. Append items from `next`, which returns nothing after the last one, one batch further than
//      actors may lease, so that they never wait for this process. While batch b is awaited:
//        appended groups <= (b + max_open_batches + 1) * groups_per_batch
//   3. Fetch batch b, call `each`, mark b applied; continue with b + 1.
//   4. After the last batch: close the plan.
//
// Batches are marked applied at `version`. To mark them durable is left to the caller, who knows
// when their results are safe: until then, what `each` has gathered is in memory only.
//
// To resume an interrupted run, call it again with the same spec and the same items. Items that
// were appended are skipped. Batches that were applied are fetched and given to `each` again, so
// that totals which the caller had in memory are complete.
//
// Numbers the items itself (WorkItem.group). Needs memory for a few batches. Blocks; `next` and
// `each` run on the calling thread. Returns errors of `each` unchanged, CANCELLED when stopped,
//   FAILED_PRECONDITION  there are fewer or more items than the interrupted run had
//   FAILED_PRECONDITION  every group was set aside; the message has the last attempt's error
//   NOT_FOUND            the plan ran to its end before and its rollouts were deleted
// and that of `check`, which is asked while a batch is not there: PlanWatch::Check.
absl::Status RunPlanToEnd(PlanClient* client, const PlanSpec& spec, uint64_t version,
                          const std::function<std::optional<WorkItem>()>& next,
                          const std::function<absl::Status(const Batch&)>& each,
                          const PlanCheck& check = kNoPlanCheck);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_PLAN_RUN_H_
