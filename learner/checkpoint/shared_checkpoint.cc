#include "learner/checkpoint/shared_checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr int64_t kPiece = 8 << 20;  // elements of one broadcast

}  // namespace

absl::StatusOr<bool> AllReachFolder(Parallel& parallel, const std::string& folder, bool wants) {
  if (parallel.world() == 1) return true;
  const bool leads = parallel.rank() == 0;
  std::string name;
  std::error_code error;
  const absl::Cleanup remove = [&] {
    if (leads) std::filesystem::remove(name, error);
  };
  if (leads) {
    // A folder of the same name on another machine has no file of this name.
    name = absl::StrCat(folder, "/ranks_", absl::ToUnixNanos(absl::Now()));
    RETURN_IF_ERROR(WriteFileAtomically(name, ""));
  }
  RETURN_IF_ERROR(parallel.Broadcast(&name));
  float without = wants && std::filesystem::exists(name, error) ? 0 : 1;
  RETURN_IF_ERROR(parallel.AllReduceSum(absl::MakeSpan(&without, 1)));
  return without == 0;
}

absl::Status ShareCheckpoint(Parallel& parallel, std::optional<Checkpoint>* checkpoint) {
  if (parallel.world() == 1) return absl::OkStatus();
  const bool leads = parallel.rank() == 0;
  std::string path, manifest;
  if (leads && checkpoint->has_value()) {
    path = (*checkpoint)->path;
    manifest = (*checkpoint)->manifest.SerializeAsString();
  }
  RETURN_IF_ERROR(parallel.Broadcast(&path));
  if (path.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(parallel.Broadcast(&manifest));
  if (leads) return absl::OkStatus();
  Checkpoint& mine = checkpoint->emplace();
  mine.path = path;
  if (mine.manifest.ParseFromString(manifest)) return absl::OkStatus();
  return absl::DataLossError("a checkpoint arrived damaged");
}

absl::Status ReadShared(Parallel& parallel, bool all_reach, const Checkpoint& checkpoint,
                        CheckpointArray array, int64_t begin, int64_t end, int64_t my_begin,
                        absl::Span<float> mine) {
  if (all_reach) return checkpoint.Read(array, my_begin, mine);
  const int64_t my_end = my_begin + static_cast<int64_t>(mine.size());
  std::vector<float> piece;
  for (int64_t at = begin; at < end; at += kPiece) {
    piece.resize(std::min(kPiece, end - at));
    if (parallel.rank() == 0) {
      RETURN_IF_ERROR(checkpoint.Read(array, at, absl::MakeSpan(piece)));
    }
    RETURN_IF_ERROR(
        parallel.Broadcast({reinterpret_cast<char*>(piece.data()), piece.size() * sizeof(float)}));
    const int64_t from = std::max(at, my_begin);
    const int64_t until = std::min(at + static_cast<int64_t>(piece.size()), my_end);
    if (from < until) {
      std::copy(piece.begin() + (from - at), piece.begin() + (until - at),
                mine.begin() + (from - my_begin));
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
