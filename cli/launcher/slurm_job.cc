#include "cli/launcher/slurm_job.h"

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/launcher/shell.h"
#include "cli/launcher/slurm_scripts.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

std::string Folder(const std::string& run_dir) { return run_dir + "/slurm"; }

// The id that `sbatch --parsable` prints: "12", or "12;cluster".
absl::StatusOr<std::string> Submit(const std::vector<std::string>& argv) {
  ASSIGN_OR_RETURN(const std::string printed, RunTool(argv));
  const std::string id = printed.substr(0, printed.find_first_not_of("0123456789"));
  if (!id.empty()) return id;
  return absl::UnavailableError(
      absl::StrCat("sbatch printed '", absl::StripAsciiWhitespace(printed), "', not a job's id"));
}

}  // namespace

absl::Status CheckNoSlurmJob(const std::string& run_dir) {
  const absl::StatusOr<std::string> text = ReadFile(Folder(run_dir) + "/job", 256);
  if (!text.ok()) return absl::OkStatus();
  const std::string job(absl::StripAsciiWhitespace(*text));
  const absl::StatusOr<std::string> state =
      RunTool({"squeue", "--noheader", "--format=%T", "--jobs=" + job});
  // Slurm forgets a job minutes after its end.
  if (absl::StrContains(state.status().message(), "Invalid job id")) return absl::OkStatus();
  RETURN_IF_ERROR(state.status());
  const std::string first(absl::StripAsciiWhitespace(state->substr(0, state->find('\n'))));
  if (first.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("job ", job, " of this run is ", absl::AsciiStrToLower(first),
                   "; to start the run again, first stop it: scancel ", job));
}

absl::StatusOr<std::vector<std::string>> SubmitToSlurm(const RunConfig& config,
                                                       const std::string& run_dir,
                                                       const std::vector<RenderedFile>& scripts) {
  const std::string folder = Folder(run_dir);
  RETURN_IF_ERROR(MakeFolders(folder));
  for (const RenderedFile& script : scripts) {
    RETURN_IF_ERROR(WriteFileAtomically(folder + "/" + script.name, script.text));
  }
  const uint32_t actors = config.resources().actors();
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/actors", absl::StrCat(actors, "\n")));
  std::error_code ignored;
  std::filesystem::remove(folder + "/failures", ignored);  // of an earlier launch

  ASSIGN_OR_RETURN(const std::string job,
                   Submit({"sbatch", "--parsable", folder + "/learner.sbatch"}));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/job", job + "\n"));
  std::vector<std::string> lines = {absl::StrCat("submitted job ", job, ", the coordinator and ",
                                                 config.resources().learner_ranks(),
                                                 " learner ranks")};
  if (config.slurm().actors() == SlurmSettings::ARRAY) {
    ASSIGN_OR_RETURN(
        const std::string array,
        Submit({"sbatch", "--parsable", "--dependency=after:" + job,
                absl::StrCat("--array=0-", actors - 1),
                "--job-name=" + SlurmActorsName(config, job), folder + "/actor.sbatch", job}));
    lines.push_back(absl::StrCat("submitted array ", array, " of ", actors,
                                 " actors, to begin after it; another number of actors: echo N > ",
                                 ShellQuoted(folder + "/actors")));
  } else {
    lines.back() += absl::StrCat(" and ", actors, " actors");
  }
  lines.push_back(absl::StrCat("scripts in ", folder, ", logs in ", run_dir, "/logs/latest"));
  lines.push_back(absl::StrCat("queue: squeue -j ", job, "; stop: scancel ", job));
  return lines;
}

}  // namespace reckon
