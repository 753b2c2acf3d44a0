#include "cli/launcher/kubernetes_network.h"

#include "absl/strings/str_cat.h"
#include "cli/launcher/cluster_ports.h"
#include "cli/launcher/text_template.h"

namespace reckon {
namespace {

constexpr char kDefaultDenyYaml[] = R"(apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: reckon-default-deny
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
)";

// Of the cluster's DNS: its pods, or the address of a cache on each node.
constexpr char kDnsYaml[] = R"(- to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    podSelector: {matchLabels: {k8s-app: kube-dns}}
  - ipBlock: {cidr: 169.254.20.10/32}
  ports:
  - {protocol: UDP, port: 53}
  - {protocol: TCP, port: 53}
)";

// Of a role, as those who call or are called.
constexpr char kPodsYaml[] = R"(- podSelector:
    matchLabels:
      {labels}
)";

constexpr char kMetricsYaml[] = R"(- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
  ports:
  - {port: {metrics_port}}
)";

constexpr char kPoliciesYaml[] = R"(apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {run}-coordinator
  labels:
    {labels_of_coordinator}
spec:
  podSelector:
    matchLabels:
      {labels_of_coordinator}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    {pods_of_actor}
    {pods_of_learner}
    ports:
    - {port: {coordinator_port}}
  {metrics}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {run}-actor
  labels:
    {labels_of_actor}
spec:
  podSelector:
    matchLabels:
      {labels_of_actor}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    {pods_of_actor}
    ports:
    - {port: {weights_port}}
  {metrics}
  egress:
  - to:
    {pods_of_coordinator}
    ports:
    - {port: {coordinator_port}}
  - to:
    {pods_of_learner}
    {pods_of_actor}
    ports:
    - {port: {weights_port}}
  {dns}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {run}-learner
  labels:
    {labels_of_learner}
spec:
  podSelector:
    matchLabels:
      {labels_of_learner}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    {pods_of_actor}
    ports:
    - {port: {weights_port}}
  - from:
    {pods_of_learner}
  {metrics}
  egress:
  - to:
    {pods_of_coordinator}
    ports:
    - {port: {coordinator_port}}
  - to:
    {pods_of_learner}
  {dns}
)";

// Beside the others, which it adds to.
constexpr char kBroadcastYaml[] = R"(---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {run}-broadcast
  labels:
    {labels_of_broadcast}
spec:
  podSelector:
    {members}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector:
        {members}
  egress:
  - to:
    - podSelector:
        {members}
)";
constexpr char kMembersYaml[] = R"(matchLabels:
  app.kubernetes.io/name: reckon
  app.kubernetes.io/instance: "{run}"
matchExpressions:
- {key: app.kubernetes.io/component, operator: In, values: [actor, learner]}
)";

std::string RoleLabels(const std::string& run, absl::string_view role) {
  return absl::StrCat("app.kubernetes.io/name: reckon\napp.kubernetes.io/instance: ", YamlText(run),
                      "\napp.kubernetes.io/component: ", role, "\n");
}

}  // namespace

std::string NamespacePolicyYaml() { return kDefaultDenyYaml; }

std::string RunPolicyYaml(const std::string& run, bool broadcast) {
  std::map<std::string, std::string> values = {
      {"run", run},
      {"coordinator_port", absl::StrCat(kCoordinatorPort)},
      {"weights_port", absl::StrCat(kWeightsPort)},
      {"metrics_port", absl::StrCat(kMetricsPort)},
      {"dns", kDnsYaml},
  };
  for (const char* role : {"coordinator", "actor", "learner"}) {
    const std::string labels = RoleLabels(run, role);
    values[absl::StrCat("labels_of_", role)] = labels;
    values[absl::StrCat("pods_of_", role)] = FillTemplate(kPodsYaml, {{"labels", labels}});
  }
  values["metrics"] = FillTemplate(kMetricsYaml, values);
  values["labels_of_broadcast"] = RoleLabels(run, "broadcast");
  values["members"] = FillTemplate(kMembersYaml, values);
  const std::string policies = FillTemplate(kPoliciesYaml, values);
  return broadcast ? policies + FillTemplate(kBroadcastYaml, values) : policies;
}

}  // namespace reckon
