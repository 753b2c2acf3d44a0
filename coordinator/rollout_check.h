#ifndef RECKON_COORDINATOR_ROLLOUT_CHECK_H_
#define RECKON_COORDINATOR_ROLLOUT_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "proto/rollout.pb.h"

namespace reckon {

inline constexpr size_t kMaxRolloutBytes = 4 << 20;

// INVALID_ARGUMENT unless a rollout is one that its plan could have asked for: spans, lengths,
// finite numbers, rewards by name.
absl::Status CheckRollout(const PlanSpec& spec, const Rollout& rollout);

// And one that this item asked for: its prompt and forced tokens, and the plan's step labels.
absl::Status CheckAgainstItem(const PlanSpec& spec, const WorkItem& item, const Rollout& rollout);

// Of tokens, kinds, log-probabilities, versions and finish, not of who made it. Differs between
// processes: never store it.
uint64_t Fingerprint(const Rollout& rollout);

struct VersionRange {
  uint64_t oldest = 0;
  uint64_t newest = 0;
};
// Of the sampled spans; zeros without one.
VersionRange SampledVersions(const Rollout& rollout);
uint32_t CountTokens(const Rollout& rollout);
uint32_t CountSampledTokens(const Rollout& rollout);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_ROLLOUT_CHECK_H_
