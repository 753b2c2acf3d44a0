#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_MANIFESTS_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_MANIFESTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/launcher/rendered_file.h"
#include "proto/config.pb.h"

namespace reckon {

// What the manifests of a run need beside its config.
struct KubernetesFacts {
  std::string image_tag;  // used where the config gives none
  bool resume = false;    // the learner's first start continues the run on its volume
  // For each role its files ca.crt, tls.crt, tls.key and token. Empty: the secrets are not written,
  // and somebody else makes them.
  std::map<std::string, std::vector<RenderedFile>> certificates;
};

// The Kubernetes objects of a run, as two folders for `kubectl apply -k`:
//
//   lasting/  the namespace, which holds every pod to the restricted Pod Security level and denies
//             all traffic by default, service accounts, and the learner's volume. Deleting the run
//             leaves them.
//   base/     coordinator: Service, StatefulSet with a volume
//             actors:      Deployment, PodDisruptionBudget
//             learner:     JobSet of two jobs, rank 0 ("first"), which has the run's volume, and
//                          the other ranks ("others"), which need none
//             NetworkPolicies, ConfigMap with the config and `resume`, Secrets with the
//             certificates
//
// deploy/kubernetes/{lasting,base} are these files for deploy/kubernetes/run.textproto;
// tests/deploy/manifests_test.py checks that. docs/kubernetes.md explains the objects.
//
// The config gives cores and memory of each role (cli/commands/resource_plan.h). INVALID_ARGUMENT:
// it has a path that no pod has, or the run's name gives no name of Kubernetes.
absl::StatusOr<std::vector<RenderedFile>> RenderKubernetes(const RunConfig& config,
                                                           const KubernetesFacts& facts);

// The run's name as Kubernetes takes it: lower-case letters, digits and '-', at most 30 characters
// so that the names of its pods are host names. '_' and '.' become '-'.
absl::StatusOr<std::string> KubernetesName(const std::string& run);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_MANIFESTS_H_
