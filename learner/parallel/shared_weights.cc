#include "learner/parallel/shared_weights.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/files/weight_bytes.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr size_t kPiece = 32 << 20;  // bytes of one broadcast

// What two folders of the same model have in common.
std::string Content(WeightManifest manifest) {
  manifest.clear_version();
  manifest.clear_term();
  manifest.clear_sources();
  return manifest.SerializeAsString();
}

// The model that `folder` holds, if it is the one of the manifest.
absl::StatusOr<Weights> ReadLocal(const LocalModel& local, const WeightManifest& manifest) {
  if (local.folder.empty()) return absl::NotFoundError("no folder");
  ASSIGN_OR_RETURN(Weights weights, ReadModelFolder(local.folder, local.base));
  if (Content(weights.manifest) == Content(manifest)) return weights;
  return absl::FailedPreconditionError(
      absl::StrCat(local.folder, " is not the model that rank 0 has under this path"));
}

// The bytes of rank 0 to all that want them, piece by piece: a rank that has them needs no more
// than a piece beside them, and another to receive it.
absl::Status SendBytes(Parallel& parallel, bool wanted, uint64_t size, char* bytes) {
  const bool leads = parallel.rank() == 0;
  std::vector<char> unwanted(leads || wanted ? 0 : std::min<uint64_t>(kPiece, size));
  for (uint64_t at = 0; at < size; at += kPiece) {
    const size_t length = std::min<uint64_t>(kPiece, size - at);
    char* const to = leads || wanted ? bytes + at : unwanted.data();
    RETURN_IF_ERROR(parallel.Broadcast(absl::MakeSpan(to, length)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ShareWeights(Parallel& parallel, const LocalModel& local, Weights* weights) {
  if (parallel.world() == 1) return absl::OkStatus();
  const bool leads = parallel.rank() == 0;
  std::string sent;
  if (leads) sent = weights->manifest.SerializeAsString();
  RETURN_IF_ERROR(parallel.Broadcast(&sent));
  bool wanted = false;
  if (!leads) {
    *weights = Weights();
    WeightManifest manifest;
    if (!manifest.ParseFromString(sent)) return absl::DataLossError("a manifest arrived damaged");
    RETURN_IF_ERROR(CheckManifest(manifest));
    absl::StatusOr<Weights> found = ReadLocal(local, manifest);
    wanted = !found.ok();
    if (found.ok()) {
      *weights = *std::move(found);
      weights->side_files.clear();
    } else {
      LOG_IF(INFO, !local.folder.empty())
          << "weights come from rank 0: " << found.status().message();
      ASSIGN_OR_RETURN(weights->bytes, WeightBytes::OfSize(manifest.total_bytes()));
    }
    weights->manifest = std::move(manifest);
  }
  float without = wanted ? 1 : 0;
  RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(&without, 1)));
  if (without == 0) return absl::OkStatus();
  // A broadcast only reads the bytes of rank 0, which are shared already.
  RETURN_IF_ERROR(
      SendBytes(parallel, wanted, weights->manifest.total_bytes(), weights->bytes->data()));
  if (!wanted) return absl::OkStatus();
  WeightManifest arrived = weights->manifest;
  Digest(weights->bytes->bytes(), &arrived);
  if (Content(arrived) == Content(weights->manifest)) return absl::OkStatus();
  return absl::DataLossError("weights arrived damaged from rank 0");
}

}  // namespace reckon
