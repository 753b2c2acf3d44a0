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
// Nothing reaches the internet. The kubelet's probes come from the node, which policies let pass.
std::string NamespacePolicyYaml();
std::string RunPolicyYaml(const std::string& run);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_NETWORK_H_
