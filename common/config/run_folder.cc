#include "common/config/run_folder.h"

#include <filesystem>
#include <map>

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

Cursor NewestCursor(const std::string& run_dir) {
  std::map<int64_t, std::string> manifests;  // by step
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir + "/checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    int64_t step = 0;
    absl::string_view number = name;
    if (absl::ConsumePrefix(&number, "step_") && absl::SimpleAtoi(number, &step)) {
      manifests[step] = (entry.path() / "manifest.json").string();
    }
  }
  for (auto newest = manifests.rbegin(); newest != manifests.rend(); ++newest) {
    const absl::StatusOr<std::string> text = ReadFile(newest->second);
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
