#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_POD_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_POD_H_

#include <map>
#include <string>
#include <vector>

#include "cli/launcher/role_commands.h"
#include "proto/config.pb.h"

namespace reckon {

// A run whose manifests are being written.
struct KubernetesWorkload {
  const RunConfig& config;  // cores and memory of each role are set
  std::string run;          // KubernetesName of the run
  std::string image_tag;
  std::string config_hash;  // of the ConfigMap's text: pods of another config are other pods
};

// What the pods of all roles share, as values of FillTemplate: {labels}, {pod} (a pod's security,
// account and grace), {container} (a container's security, probes and resources), {image}, the
// ports, ...
std::map<std::string, std::string> PodValues(const KubernetesWorkload& workload,
                                             const std::string& role,
                                             const RoleResources& resources);

// HOST:PORT on all addresses of a pod, IPv6 included.
std::string ListenOn(uint16_t port);
RolePorts PodPorts();
// At which members find the coordinator: its service, in the same namespace.
std::string CoordinatorAddress(const KubernetesWorkload& workload);
// The lines of a YAML list: `literal` arguments, which reach the program as they are, and those
// `with_variables`, in which Kubernetes replaces each $(NAME) by the container's variable.
std::string ArgumentList(const std::vector<std::string>& literal,
                         const std::vector<std::string>& with_variables);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_POD_H_
