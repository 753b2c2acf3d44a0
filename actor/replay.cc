#include "actor/replay.h"

#include <memory>
#include <utility>

#include "common/base/status_macros.h"

namespace reckon {

absl::StatusOr<std::vector<Rollout>> GenerateLease(const LeaseReply& work, Engine* engine,
                                                   const std::stop_token& stop) {
  if (work.leases_size() != 1 || work.plans_size() != 1) {
    return absl::InvalidArgumentError("the work is not one lease and its plan");
  }
  RETURN_IF_ERROR(engine->Admit(work.leases(0), std::make_shared<const PlanSpec>(work.plans(0))));
  std::vector<Rollout> rollouts;
  while (!engine->idle()) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    ASSIGN_OR_RETURN(std::vector<FinishedSample> finished, engine->RunPass());
    for (FinishedSample& sample : finished) rollouts.push_back(std::move(sample.rollout));
  }
  return rollouts;
}

}  // namespace reckon
