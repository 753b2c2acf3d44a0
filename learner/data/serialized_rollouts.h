#ifndef RECKON_LEARNER_DATA_SERIALIZED_ROLLOUTS_H_
#define RECKON_LEARNER_DATA_SERIALIZED_ROLLOUTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

// The form in which the leader broadcasts rollouts: for each one the number of its bytes, as a
// 64-bit word, and these. A message of all of them could not have more than 2 GiB.
std::string SerializeRollouts(const std::vector<Rollout>& rollouts);
// DATA_LOSS when the bytes end within a rollout, or one is none.
absl::StatusOr<std::vector<Rollout>> ParseRollouts(absl::string_view bytes);

}  // namespace reckon

#endif  // RECKON_LEARNER_DATA_SERIALIZED_ROLLOUTS_H_
