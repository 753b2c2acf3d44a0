#include "cli/launcher/kubernetes_apply.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/launcher/kubernetes_manifests.h"
#include "cli/launcher/process.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr absl::Duration kKubectlTimeout = absl::Minutes(5);
constexpr int kNoSuchProgram = 127;  // of env, as of a shell

absl::Status Kubectl(const std::vector<std::string>& arguments, const std::string& log) {
  Command command = {.name = "kubectl", .argv = {"/usr/bin/env", "kubectl"}, .log_path = log};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  std::error_code ignored;
  std::filesystem::remove(log, ignored);
  ASSIGN_OR_RETURN(Process process, Process::Start(command));
  const std::optional<int> ended = process.Wait(kKubectlTimeout);
  if (ended.has_value() && WIFEXITED(*ended) && WEXITSTATUS(*ended) == 0) return absl::OkStatus();
  if (ended.has_value() && WIFEXITED(*ended) && WEXITSTATUS(*ended) == kNoSuchProgram) {
    return absl::NotFoundError(
        "there is no kubectl in PATH; install it, or apply the manifests elsewhere");
  }
  return absl::InternalError(
      absl::StrCat("kubectl ", absl::StrJoin(arguments, " "), ": ",
                   ended.has_value() ? DescribeExit(*ended) : "not finished after 5 min", "\n",
                   LastLines(log, 5)));
}

}  // namespace

absl::StatusOr<std::map<std::string, std::vector<RenderedFile>>> ReadRoleCertificates(
    const std::string& folder) {
  std::map<std::string, std::vector<RenderedFile>> certificates;
  for (const char* role : {"coordinator", "actor", "learner"}) {
    for (const char* name : {"ca.crt", "tls.crt", "tls.key", "token"}) {
      ASSIGN_OR_RETURN(std::string text,
                       ReadFile(absl::StrCat(folder, "/", role, "/", name), 1 << 20));
      certificates[role].push_back({name, std::move(text)});
    }
  }
  return certificates;
}

absl::Status WriteManifests(const std::vector<RenderedFile>& files, const std::string& folder) {
  std::error_code error;
  for (const char* part : {"/lasting", "/base"}) {
    std::filesystem::remove_all(folder + part, error);
    RETURN_IF_ERROR(MakeFolders(folder + part));
  }
  for (const RenderedFile& file : files) {
    const std::string path = absl::StrCat(folder, "/", file.name);
    // From the moment that it exists, nobody else may read it.
    const bool secret = absl::EndsWith(file.name, "/secrets.yaml");
    const mode_t before = umask(secret ? 077 : 022);
    const absl::Status written = WriteFileAtomically(path, file.text);
    umask(before);
    RETURN_IF_ERROR(written);
  }
  return absl::OkStatus();
}

absl::Status ApplyManifests(const RunConfig& config, const std::string& folder, bool resume) {
  ASSIGN_OR_RETURN(const std::string run, KubernetesName(config.name()));
  const std::string log = folder + "/kubectl.log";
  RETURN_IF_ERROR(Kubectl({"apply", "-k", folder + "/lasting"}, log));
  if (resume) {
    RETURN_IF_ERROR(
        Kubectl({"delete", "jobset", run + "-learner", "--namespace",
                 config.kubernetes().namespace_(), "--ignore-not-found", "--cascade=foreground"},
                log));
  }
  ASSIGN_OR_RETURN(const bool overlay, PathExists(folder + "/overlay/kustomization.yaml"));
  return Kubectl({"apply", "-k", folder + (overlay ? "/overlay" : "/base")}, log);
}

}  // namespace reckon
