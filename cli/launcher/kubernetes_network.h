#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_NETWORK_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_NETWORK_H_

#include <string>

namespace reckon {

// NetworkPolicies as YAML. A namespace denies all traffic; a run allows what its roles need:
//
//   actor ────▶ coordinator ◀──── learner ◀──▶ learner, all ports: collectives choose theirs
//     └──────── weights ─────────▶ learner
//   monitoring ──── metrics ────▶ each role
//
// With `broadcast` also actors and learner among each other, all ports, for the same reason.
// Nothing reaches the internet. The kubelet's probes come from the node, which policies let pass.
std::string NamespacePolicyYaml();
std::string RunPolicyYaml(const std::string& run, bool broadcast);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_NETWORK_H_
