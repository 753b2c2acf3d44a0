#ifndef RECKON_COORDINATOR_CORE_ROLLOUT_CHECK_H_
#define RECKON_COORDINATOR_CORE_ROLLOUT_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

inline constexpr size_t kMaxRolloutBytes = 4 << 20;

// INVALID_ARGUMENT unless `bytes` are one serialized Rollout of at most kMaxRolloutBytes. Then
// `rollout` holds what could be parsed, so that the refusal can name the rollout's key.
absl::Status ParseRollout(absl::string_view bytes, Rollout* rollout);

// INVALID_ARGUMENT unless the rollout is one that its plan could have asked for: spans, lengths,
// finite numbers, rewards by name.
absl::Status CheckRollout(const PlanSpec& spec, const Rollout& rollout);

// INVALID_ARGUMENT unless the rollout has this item's prompt and forced tokens, and no forced
// tokens after them but the plan's step labels.
absl::Status CheckAgainstItem(const PlanSpec& spec, const WorkItem& item, const Rollout& rollout);

// A hash of tokens, kinds, log-probabilities, versions and finish, that is of everything but the
// actor and the rewards. It differs between processes, so it must not be stored.
uint64_t Fingerprint(const Rollout& rollout);

struct VersionRange {
  uint64_t oldest = 0;
  uint64_t newest = 0;
};
// The weight versions of the sampled spans; zeros without a sampled span.
VersionRange SampledVersions(const Rollout& rollout);
uint32_t CountTokens(const Rollout& rollout);
uint32_t CountSampledTokens(const Rollout& rollout);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_ROLLOUT_CHECK_H_
