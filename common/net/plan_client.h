#ifndef RECKON_COMMON_NET_PLAN_CLIENT_H_
#define RECKON_COMMON_NET_PLAN_CLIENT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/stop.h"
#include "common/net/retry.h"
#include "proto/coordinator.grpc.pb.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// Whether the owner of a plan shall wait on: OK, or why the plan cannot continue.
using PlanCheck = std::function<absl::Status()>;
inline const PlanCheck kNoPlanCheck = [] { return absl::OkStatus(); };

// What the owner of a plan, a learner or `reckon eval`, asks of the coordinator:
//
//   Open --> Append ... Append --> NextHeader --> Fetch --> MarkApplied --> MarkDurable --> Close
//                                      ^_______________________|
//
// Every call is retried (common/net/retry.h) until it succeeds, fails for good, or `stop` is
// requested, which gives CANCELLED. RunPlanToEnd does the whole sequence. Thread-safe.
class PlanClient {
 public:
  // `stub` must outlive the client. `term` is that of the learner group; 0: no group, no fence.
  // `on_outage` is that of RetryOptions, for every call.
  PlanClient(Coordinator::StubInterface* stub, uint64_t term, std::stop_token stop,
             std::function<void(const absl::Status&)> on_outage = nullptr);

  // Opens the plan, or resumes it when a plan with this name and spec exists.
  absl::StatusOr<OpenPlanReply> Open(const PlanSpec& spec);

  // Appends items[i] as group first_group + i. Blocks while the coordinator's window of resident
  // groups is full and `check` is OK.
  absl::Status Append(const std::string& plan, uint64_t first_group, std::vector<WorkItem> items,
                      bool end_of_plan, const PlanCheck& check = kNoPlanCheck);

  // Groups that are still to be appended.
  struct PendingGroups {
    uint64_t first_group = 0;    // number of items.front()
    std::deque<WorkItem> items;  // items[i].group == first_group + i
    bool end_of_plan = false;    // no group follows them; cleared when the coordinator knows it
  };
  // Appends from the front of `pending`, and removes, as many groups as the window takes. Returns
  // false when the window is full: batches must be marked applied before more fits.
  absl::StatusOr<bool> AppendWhatFits(const std::string& plan, PendingGroups* pending);

  // Waits for the header of a batch, as long as `check` is OK. Nothing: the plan ended before this
  // batch.
  absl::StatusOr<std::optional<BatchHeader>> NextHeader(const std::string& plan, uint64_t batch,
                                                        const PlanCheck& check = kNoPlanCheck);
  // FAILED_PRECONDITION for a plan, or a batch of it, whose `groups` groups were all set aside,
  // with the error of the last attempt.
  absl::Status AllSetAside(const std::string& plan, uint64_t groups);
  // Waits at most `wait`. A reply without a header and without end_of_plan: not cut yet.
  absl::StatusOr<NextBatchReply> PollBatch(const std::string& plan, uint64_t batch,
                                           absl::Duration wait);
  // Returns the rollouts with these keys, in this order.
  absl::StatusOr<std::vector<Rollout>> Fetch(const std::vector<RolloutKey>& keys);

  absl::Status MarkApplied(const std::string& plan, uint64_t batch, uint64_t version);
  // A checkpoint covers the plan's batches up to `batch`: with retention SELECTED their rollouts
  // may be deleted.
  absl::Status MarkDurable(const std::string& plan, uint64_t batch);
  absl::Status Close(const std::string& plan);

  absl::Status AppendSelection(const AppendSelectionRequest& request);
  // Calls `each` with consecutive runs of the selection's keys. FAILED_PRECONDITION when the
  // selection is not complete.
  absl::Status ReadSelection(const std::string& name,
                             const std::function<void(const std::vector<RolloutKey>&)>& each);

 private:
  // Retry a call, with the deadlines of a plain call and of one that streams a reply.
  absl::Status Call(RpcCall call) const;
  absl::Status CallStream(RpcCall call) const;

  Coordinator::StubInterface* const stub_;
  const uint64_t term_;
  const std::stop_token stop_;
  const std::function<void(const absl::Status&)> on_outage_;
};

// How long one NextBatch waits at the coordinator.
inline constexpr absl::Duration kBatchWait = absl::Seconds(1);
// How long to wait before groups are offered again to a window that was full.
inline constexpr absl::Duration kFullWindowWait = absl::Milliseconds(50);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_PLAN_CLIENT_H_
