#include "learner/checkpoint/shared_checkpoint.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr size_t kPiece = 8 << 20;  // elements of one broadcast

// Sizes and cursor of a checkpoint: all but the arrays.
CheckpointManifest Describe(const Checkpoint& checkpoint) {
  CheckpointManifest manifest;
  *manifest.mutable_cursor() = checkpoint.cursor;
  for (const auto& [name, values] : checkpoint.parameters) {
    CheckpointManifest::Parameter* parameter = manifest.add_parameters();
    parameter->set_name(name);
    parameter->set_elements(static_cast<int64_t>(values.size()));
  }
  if (checkpoint.moments.has_value()) manifest.set_adam_steps(checkpoint.moments->steps);
  return manifest;
}

absl::Status Share(Parallel& parallel, std::vector<float>* values) {
  for (size_t at = 0; at < values->size(); at += kPiece) {
    const size_t length = std::min(kPiece, values->size() - at);
    char* const bytes = reinterpret_cast<char*>(values->data() + at);
    RETURN_IF_ERROR(parallel.Broadcast(absl::MakeSpan(bytes, length * sizeof(float))));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ShareCheckpoint(Parallel& parallel, std::optional<Checkpoint>* checkpoint) {
  if (parallel.world() == 1) return absl::OkStatus();
  const bool leads = parallel.rank() == 0;
  std::string path, description, with_moments;
  if (leads && checkpoint->has_value()) {
    path = (*checkpoint)->path;
    description = Describe(**checkpoint).SerializeAsString();
    if ((*checkpoint)->moments.has_value()) with_moments = "moments";
  }
  RETURN_IF_ERROR(parallel.Broadcast(&path));
  if (path.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(parallel.Broadcast(&description));
  RETURN_IF_ERROR(parallel.Broadcast(&with_moments));
  if (!leads) {
    CheckpointManifest manifest;
    if (!manifest.ParseFromString(description)) {
      return absl::DataLossError("a checkpoint arrived damaged");
    }
    Checkpoint& mine = checkpoint->emplace();
    mine.path = path;
    size_t total = 0;
    for (const CheckpointManifest::Parameter& parameter : manifest.parameters()) {
      mine.parameters.emplace_back(parameter.name(), std::vector<float>(parameter.elements()));
      total += parameter.elements();
    }
    if (!with_moments.empty()) {
      mine.moments.emplace();
      mine.moments->steps = manifest.adam_steps();
      mine.moments->first.resize(total);
      mine.moments->second.resize(total);
    }
    mine.cursor = std::move(*manifest.mutable_cursor());
  }
  for (auto& [name, values] : (*checkpoint)->parameters) {
    RETURN_IF_ERROR(Share(parallel, &values));
  }
  if (with_moments.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(Share(parallel, &(*checkpoint)->moments->first));
  return Share(parallel, &(*checkpoint)->moments->second);
}

}  // namespace reckon
