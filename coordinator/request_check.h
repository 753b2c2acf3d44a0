#ifndef RECKON_COORDINATOR_REQUEST_CHECK_H_
#define RECKON_COORDINATOR_REQUEST_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// Bounds on what a client may ask for: all give INVALID_ARGUMENT naming the field.

// Names of plans, selections, actors and nonces: 1 to 128 printable ASCII characters.
absl::Status CheckName(absl::string_view what, absl::string_view name);
absl::Status CheckPlanSpec(const PlanSpec& spec);
absl::Status CheckWorkItem(const WorkItem& item);
// Tensors contiguous, without overlap, covering total_bytes; one digest per chunk.
absl::Status CheckPublishedManifest(const WeightManifest& manifest);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_REQUEST_CHECK_H_
