#include "learner/evaluate/evaluation_files.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/message_json.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxBytes = 1 << 20;  // a real file has about 2 KiB

std::string Folder(const std::string& run_dir) { return run_dir + "/eval"; }

std::string PathOf(const std::string& run_dir, int64_t index, const std::string& name) {
  return absl::StrCat(Folder(run_dir), "/", index, "_", name, ".json");
}

absl::StatusOr<Evaluation> ReadFrom(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  Evaluation evaluation;
  if (const absl::Status status = MessageFromJson(text, &evaluation); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  }
  return evaluation;
}

}  // namespace

absl::Status WriteEvaluation(const std::string& run_dir, const Evaluation& evaluation) {
  RETURN_IF_ERROR(MakeFolders(Folder(run_dir)));
  return WriteFileAtomically(PathOf(run_dir, evaluation.index(), evaluation.name()),
                             MessageToJson(evaluation));
}

absl::StatusOr<Evaluation> ReadEvaluation(const std::string& run_dir, int64_t index,
                                          const std::string& name) {
  return ReadFrom(PathOf(run_dir, index, name));
}

absl::StatusOr<std::vector<Evaluation>> ReadEvaluations(const std::string& run_dir) {
  std::vector<Evaluation> evaluations;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(Folder(run_dir), error)) {
    const std::filesystem::path& path = entry.path();
    // WriteFileAtomically leaves a file with another ending when it is interrupted.
    if (path.extension() != ".json" || path.filename() == "summary.json") continue;
    ASSIGN_OR_RETURN(Evaluation evaluation, ReadFrom(path.string()));
    evaluations.push_back(std::move(evaluation));
  }
  // A folder lists its files in any order.
  std::sort(evaluations.begin(), evaluations.end(),
            [](const Evaluation& a, const Evaluation& b) { return a.index() < b.index(); });
  return evaluations;
}

absl::Status WriteSummary(const std::string& run_dir, const std::vector<Evaluation>& evaluations) {
  const std::string list =
      absl::StrJoin(evaluations, ",\n", [](std::string* out, const Evaluation& evaluation) {
        out->append(MessageToJson(evaluation));
      });
  RETURN_IF_ERROR(MakeFolders(Folder(run_dir)));
  return WriteFileAtomically(Folder(run_dir) + "/summary.json", absl::StrCat("[\n", list, "]\n"));
}

}  // namespace reckon
