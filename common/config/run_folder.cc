#include "common/config/run_folder.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/resume_rules.h"
#include "common/text/message_json.h"

namespace reckon {

bool HasBegun(const std::string& run_dir) {
  std::error_code error;
  for (const char* made : {"/inputs.json", "/checkpoints", "/eval", "/weights"}) {
    if (std::filesystem::exists(run_dir + made, error)) return true;
  }
  return false;
}

std::vector<int64_t> ListCheckpoints(const std::string& run_dir) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir + "/checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    absl::string_view number = name;
    int64_t step = 0;
    if (absl::ConsumePrefix(&number, "step_") && absl::SimpleAtoi(number, &step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

Cursor NewestCursor(const std::string& run_dir) {
  const std::vector<int64_t> steps = ListCheckpoints(run_dir);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const absl::StatusOr<std::string> text =
        ReadFile(absl::StrCat(run_dir, "/checkpoints/step_", *step, "/manifest.json"));
    CheckpointManifest manifest;
    // The first line is the digest of the rest, which the learner checks.
    if (text.ok() && MessageFromJson(text->substr(text->find('\n') + 1), &manifest).ok()) {
      return manifest.cursor();
    }
  }
  return Cursor();
}

absl::StatusOr<std::optional<RunConfig>> ConfigBefore(const std::string& run_dir,
                                                      const RunConfig& config) {
  const std::string path = run_dir + "/config.textproto";
  std::error_code error;
  // With an error it may be there: to read it says which.
  if (!std::filesystem::exists(path, error) && !error) return std::nullopt;
  ASSIGN_OR_RETURN(RunConfig before, LoadConfig(path, {}));
  if (HasBegun(run_dir)) {
    const absl::Status allowed = CheckResume(before, config, NewestCursor(run_dir));
    if (!allowed.ok()) {
      return absl::Status(
          allowed.code(),
          absl::StrCat("the run in ", run_dir, " cannot be continued: ", allowed.message()));
    }
  }
  return before;
}

}  // namespace reckon
