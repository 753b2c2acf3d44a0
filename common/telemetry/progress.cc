#include "common/telemetry/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/message_json.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

std::string PathIn(const std::string& run_dir) { return run_dir + "/progress.json"; }

}  // namespace

absl::Status WriteProgress(const std::string& run_dir, const Progress& progress) {
  Progress clean = progress;
  // JSON has neither NaN nor strings that are not UTF-8, and the launcher must be able to parse
  // every write.
  if (!std::isfinite(clean.tokens_per_s())) clean.clear_tokens_per_s();
  auto& trend = *clean.mutable_trend();
  trend.erase(
      std::remove_if(trend.begin(), trend.end(), [](double v) { return !std::isfinite(v); }),
      trend.end());
  for (std::string& line : *clean.mutable_lines()) line = RepairUtf8(line);
  for (auto& step : *clean.mutable_step_lines()) step.set_text(RepairUtf8(step.text()));
  clean.set_waiting_for(RepairUtf8(clean.waiting_for()));
  return WriteFileAtomically(PathIn(run_dir), MessageToJson(clean));
}

absl::Status ShowWaiting(const std::string& run_dir, const std::string& waiting_for) {
  absl::StatusOr<Progress> progress = ReadProgress(run_dir);
  if (!progress.ok()) progress = Progress();
  if (progress->phase().empty()) progress->set_phase("start");
  progress->set_waiting_for(waiting_for);
  return WriteProgress(run_dir, *progress);
}

absl::StatusOr<Progress> ReadProgress(const std::string& run_dir) {
  const std::string path = PathIn(run_dir);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Progress progress;
  if (const absl::Status status = MessageFromJson(text, &progress); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  }
  return progress;
}

}  // namespace reckon
