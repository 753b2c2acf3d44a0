#ifndef RECKON_CLI_COMMANDS_LAUNCH_KUBERNETES_H_
#define RECKON_CLI_COMMANDS_LAUNCH_KUBERNETES_H_

#include "absl/status/status.h"
#include "cli/commands/launch.h"
#include "proto/config.pb.h"

namespace reckon {

// `reckon launch --kubernetes` of a config whose resources are planned (resource_plan.h): writes
// the run's certificates and its manifests, secrets among them, to
// <run_dir>/{certificates,kubernetes}, and with `apply` gives the manifests to kubectl. With
// `dry_run` it prints the manifests but the secrets, and writes nothing.
absl::Status LaunchOnKubernetes(const LaunchOptions& options, const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_LAUNCH_KUBERNETES_H_
