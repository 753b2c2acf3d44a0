#include "learner/data/serialized_rollouts.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

// Last.
#include "common/base/log.h"

namespace reckon {

std::string SerializeRollouts(const std::vector<Rollout>& rollouts) {
  std::string out;
  size_t size = 0;
  for (const Rollout& rollout : rollouts) size += sizeof(uint64_t) + rollout.ByteSizeLong();
  out.reserve(size);
  for (const Rollout& rollout : rollouts) {
    const uint64_t length = rollout.ByteSizeLong();
    out.append(reinterpret_cast<const char*>(&length), sizeof(length));
    // Each has come in a message of gRPC, which is far smaller than what protobuf can write.
    CHECK(rollout.AppendToString(&out));
  }
  return out;
}

absl::StatusOr<std::vector<Rollout>> ParseRollouts(absl::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("rollouts arrived damaged");
  std::vector<Rollout> rollouts;
  while (!bytes.empty()) {
    uint64_t length = 0;
    if (bytes.size() < sizeof(length)) return damaged;
    std::memcpy(&length, bytes.data(), sizeof(length));
    bytes.remove_prefix(sizeof(length));
    if (length > std::min<uint64_t>(bytes.size(), std::numeric_limits<int>::max())) return damaged;
    Rollout& rollout = rollouts.emplace_back();
    if (!rollout.ParseFromArray(bytes.data(), static_cast<int>(length))) return damaged;
    bytes.remove_prefix(length);
  }
  return rollouts;
}

}  // namespace reckon
