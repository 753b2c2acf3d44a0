#include "learner/run/start.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/run_folder.h"

namespace reckon {

absl::StatusOr<bool> ContinuesRun(const std::string& run_dir, const RunConfig& config, bool resume,
                                  const std::string& launch) {
  const std::string launch_path = run_dir + "/launch";
  const bool same_launch = !launch.empty() && ReadFile(launch_path).value_or("") == launch;
  const bool continues = resume || same_launch;
  // The files of two runs are not to be mixed.
  if (!continues && HasBegun(run_dir)) {
    return absl::FailedPreconditionError(absl::StrCat(
        run_dir, " holds an earlier run; continue it with --resume, or choose another name"));
  }
  RETURN_IF_ERROR(ConfigBefore(run_dir, config).status());
  RETURN_IF_ERROR(MakeFolders(run_dir));
  RETURN_IF_ERROR(WriteFileAtomically(run_dir + "/config.textproto", FormatConfig(config)));
  if (!launch.empty()) RETURN_IF_ERROR(WriteFileAtomically(launch_path, launch));
  return continues;
}

}  // namespace reckon
