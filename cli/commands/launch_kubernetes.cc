#include "cli/commands/launch_kubernetes.h"

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands/dry_run.h"
#include "cli/launcher/kubernetes_apply.h"
#include "cli/launcher/kubernetes_manifests.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/net/run_certificates.h"
#include "common/task/reward/own_rewards.h"

namespace reckon {
namespace {

void WarnOfPrograms(const RunConfig& config) {
  const std::vector<std::string> commands = RewardCommands(config);
  if (commands.empty()) return;
  std::cout << "warning: actors run `" << absl::StrJoin(commands, "`, `")
            << "`, and images of deploy/docker have no Python and no shell; use kind: SERVICE, or "
               "build an image with your program (kubernetes.image_prefix)\n";
}

}  // namespace

absl::Status LaunchOnKubernetes(const LaunchOptions& options, const RunConfig& config) {
  WarnOfPrograms(config);
  KubernetesFacts facts = {
      .image_tag = RECKON_VERSION, .resume = options.resume, .certificates = {}};
  if (options.dry_run) {
    ASSIGN_OR_RETURN(const std::vector<RenderedFile> files, RenderKubernetes(config, facts));
    RETURN_IF_ERROR(DryRun(config, Site::kKubernetes));
    for (const RenderedFile& file : files) {
      std::cout << "\n--- " << file.name << "\n" << file.text;
    }
    std::cout << "\nand base/secrets.yaml with the run's certificates\n";
    return absl::OkStatus();
  }
  const std::string run_dir = absl::StrCat(config.output_dir(), "/", config.name());
  const std::string folder = run_dir + "/kubernetes";
  // Errors of the config come before anything is written.
  RETURN_IF_ERROR(RenderKubernetes(config, facts).status());
  RETURN_IF_ERROR(MakeFolders(folder));
  ASSIGN_OR_RETURN(const std::string certificates, EnsureRunCertificates(run_dir, config.name()));
  ASSIGN_OR_RETURN(facts.certificates, ReadRoleCertificates(certificates));
  ASSIGN_OR_RETURN(const std::vector<RenderedFile> files, RenderKubernetes(config, facts));
  RETURN_IF_ERROR(WriteManifests(files, folder));
  std::cout << "manifests in " << folder << "\n";
  if (!options.apply) {
    std::cout << "to start the run: kubectl apply -k " << folder << "/lasting && kubectl apply -k "
              << folder << "/base\n";
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(ApplyManifests(config, folder, options.resume));
  std::cout << "applied; to watch the run: kubectl -n " << config.kubernetes().namespace_()
            << " get jobset,pods\n";
  return absl::OkStatus();
}

}  // namespace reckon
