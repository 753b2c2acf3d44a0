#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_WORKLOADS_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_WORKLOADS_H_

#include <string>

#include "cli/launcher/kubernetes_pod.h"

namespace reckon {

// The coordinator: a service, and a stateful set of one pod with a volume.
std::string CoordinatorYaml(const KubernetesWorkload& workload);
// The actors: a deployment, and what an upgrade of nodes may take from it.
std::string ActorYaml(const KubernetesWorkload& workload);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_WORKLOADS_H_
