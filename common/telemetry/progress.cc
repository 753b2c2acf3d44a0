#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/telemetry/metrics.h"
#include "common/text/json.h"

namespace reckon {
namespace {

std::string PathIn(const std::string& run_dir) { return run_dir + "/progress.json"; }

absl::StatusOr<Progress> Parse(absl::string_view text) {
  ASSIGN_OR_RETURN(nlohmann::json object, ParseJson(text));
  Progress progress;
  ASSIGN_OR_RETURN(progress.phase, GetString(object, "phase"));
  ASSIGN_OR_RETURN(progress.done, GetDoubleOr(object, "done", 0));
  ASSIGN_OR_RETURN(progress.total, GetDoubleOr(object, "total", 0));
  ASSIGN_OR_RETURN(progress.unit, GetStringOr(object, "unit", ""));
  ASSIGN_OR_RETURN(progress.tokens_per_s, GetDoubleOr(object, "tokens_per_s", 0));
  ASSIGN_OR_RETURN(progress.elapsed_s, GetDoubleOr(object, "elapsed_s", 0));
  ASSIGN_OR_RETURN(progress.finished, GetBoolOr(object, "finished", false));
  ASSIGN_OR_RETURN(const nlohmann::json* lines, GetArray(object, "lines"));
  for (const nlohmann::json& line : *lines) {
    if (!line.is_string()) return absl::InvalidArgumentError("lines: holds something not a string");
    progress.lines.push_back(line.get<std::string>());
  }
  return progress;
}

}  // namespace

absl::Status WriteProgress(const std::string& run_dir, const Progress& progress) {
  // A number that is not finite becomes null, which reads as 0.
  nlohmann::ordered_json object = {{"phase", progress.phase},
                                   {"done", progress.done},
                                   {"total", progress.total},
                                   {"unit", progress.unit},
                                   {"tokens_per_s", progress.tokens_per_s},
                                   {"elapsed_s", progress.elapsed_s},
                                   {"lines", progress.lines},
                                   {"finished", progress.finished}};
  return WriteFileAtomically(
      PathIn(run_dir),
      object.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

absl::StatusOr<Progress> ReadProgress(const std::string& run_dir) {
  std::string path = PathIn(run_dir);
  ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  absl::StatusOr<Progress> progress = Parse(text);
  if (!progress.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", progress.status().message()));
  }
  return progress;
}

}  // namespace reckon
