#ifndef RECKON_COORDINATOR_CORE_REQUEST_CHECK_H_
#define RECKON_COORDINATOR_CORE_REQUEST_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// INVALID_ARGUMENT with a message that is built from `parts`.
template <typename... Parts>
absl::Status BadRequest(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// Checks of what clients send. Each returns INVALID_ARGUMENT that names the field and its value.

// Names of plans, selections, actors and nonces: 1 to 128 printable ASCII characters.
absl::Status CheckName(absl::string_view what, absl::string_view name);
// Sizes of groups and batches, sampling parameters, stop tokens, rewards.
absl::Status CheckPlanSpec(const PlanSpec& spec);
// A prompt of one token or more, 1 MiB at most.
absl::Status CheckWorkItem(const WorkItem& item);
// The actor's name and the texts of its report, 4 KiB each. No samples: a report only.
absl::Status CheckLeaseRequest(const LeaseRequest& request);
// A rank below `world_size`, a host's name, a failure of 4 KiB at most.
absl::Status CheckHeartbeat(const HeartbeatRequest& request, uint32_t world_size);
// Tensors are contiguous, do not overlap and cover total_bytes; there is one digest per chunk.
absl::Status CheckPublishedManifest(const WeightManifest& manifest);
// The address of an actor that serves weights, which others are told.
absl::Status CheckSource(const std::string& address);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_REQUEST_CHECK_H_
