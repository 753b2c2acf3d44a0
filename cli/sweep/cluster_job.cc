#include "cli/sweep/cluster_job.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/launcher/kubernetes_manifests.h"
#include "cli/launcher/shell.h"
#include "cli/launcher/slurm_job.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

absl::StatusOr<bool> HasJobSet(const RunConfig& config) {
  ASSIGN_OR_RETURN(const std::string name, KubernetesName(config.name()));
  ASSIGN_OR_RETURN(const std::string printed,
                   RunTool({"kubectl", "get", "jobset", name + "-learner", "--namespace",
                            config.kubernetes().namespace_(), "--ignore-not-found", "--output",
                            "jsonpath={.metadata.name}/{.status.terminalState}"}));
  const std::string state(absl::StripAsciiWhitespace(printed));
  return !state.empty() && state.back() == '/';  // "run-learner/Completed" once it has ended
}

}  // namespace

absl::StatusOr<bool> HasClusterJob(const SweepRun& run, SweepEngine engine) {
  if (engine == SweepEngine::kKubernetes) return HasJobSet(run.config);
  const absl::Status none = CheckNoSlurmJob(run.folder());
  if (absl::IsFailedPrecondition(none)) return true;
  if (!none.ok()) return none;
  return false;
}

}  // namespace reckon
