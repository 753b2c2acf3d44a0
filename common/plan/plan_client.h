#ifndef RECKON_COMMON_PLAN_PLAN_CLIENT_H_
#define RECKON_COMMON_PLAN_PLAN_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/stop_token.h"
#include "proto/coordinator.grpc.pb.h"
#include "proto/coordinator.pb.h"

namespace reckon {

struct Batch {
  BatchHeader header;
  std::vector<Rollout> rollouts;  // same order as header.rollouts
};

// The plan owner's side of the coordinator: the learner's and `reckon eval`'s. Every call has a
// deadline and is retried while the coordinator is unreachable (a restart), until `stop`, which
// gives CANCELLED. Other errors come back at once. Thread-safe.
class PlanClient {
 public:
  PlanClient(Coordinator::StubInterface* stub, uint64_t epoch, const StopToken* stop);

  absl::StatusOr<OpenPlanReply> Open(const PlanSpec& spec);
  // Appends items (items[i].group must follow on); waits while the coordinator's window is full.
  absl::Status Append(const std::string& plan, uint64_t first_group, std::vector<WorkItem> items,
                      bool end_of_plan);
  // Waits for batch `batch`; nothing when the plan ended before it.
  absl::StatusOr<std::optional<BatchHeader>> NextHeader(const std::string& plan, uint64_t batch);
  absl::StatusOr<std::vector<Rollout>> Fetch(const std::vector<RolloutKey>& keys);
  absl::Status MarkApplied(const std::string& plan, uint64_t batch, uint64_t version);
  absl::Status MarkDurable(const std::string& plan, uint64_t batch, bool keep_rollouts);
  absl::Status Close(const std::string& plan);

  absl::Status AppendSelection(const AppendSelectionRequest& request);
  // Calls `each` with runs of keys in order. FAILED_PRECONDITION when it is not complete.
  absl::Status ReadSelection(const std::string& name,
                             const std::function<void(const std::vector<RolloutKey>&)>& each);

  // Runs a whole plan: opens it, appends `next()` items until it returns nothing, hands each batch
  // to `each` in order and marks it applied; at the end marks all durable (keep_rollouts as given)
  // and closes it. Sets the items' `group`. Memory is proportional to a few batches. Resumes where
  // an interrupted owner of the same plan stopped: `next` is then asked again from group 0 and
  // already appended items are skipped; batches already applied are handed to `each` again (from
  // the record) so that the caller's counts are whole. NOT_FOUND for a plan that ran to its end
  // before without keep_rollouts.
  absl::Status Run(const PlanSpec& spec, bool keep_rollouts, uint64_t version,
                   const std::function<std::optional<WorkItem>()>& next,
                   const std::function<absl::Status(const Batch&)>& each);

 private:
  // Calls `call(context)` until it gives something else than a transient error.
  absl::Status Retry(absl::Duration timeout,
                     const std::function<grpc::Status(grpc::ClientContext*)>& call) const;
  absl::Status TryAppend(const AppendGroupsRequest& request);
  absl::StatusOr<NextBatchReply> PollHeader(const std::string& plan, uint64_t batch,
                                            absl::Duration wait);

  Coordinator::StubInterface* const stub_;
  const uint64_t epoch_;
  const StopToken* const stop_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_PLAN_PLAN_CLIENT_H_
