#include "cli/launcher/kubernetes_pod.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/launcher/cluster_ports.h"
#include "cli/launcher/text_template.h"

namespace reckon {
namespace {

// Labels of all objects of a role; those of the selector alone never change.
constexpr char kLabelsYaml[] = R"(app.kubernetes.io/name: reckon
app.kubernetes.io/instance: "{run}"
app.kubernetes.io/component: {role}
)";

// Security and service account of every pod: the restricted level of Pod Security, and no token of
// the API, which no role calls.
constexpr char kPodYaml[] = R"(serviceAccountName: reckon-{role}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {grace_seconds}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
)";

// A start may take ten minutes, since actors and learner load a model. Alive means that the main
// loop has moved, never that another role answers.
constexpr char kContainerYaml[] = R"(securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
startupProbe:
  grpc: {port: {health_port}, service: startup}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 120
livenessProbe:
  grpc: {port: {health_port}, service: liveness}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  grpc: {port: {health_port}, service: readiness}
  periodSeconds: 5
  timeoutSeconds: 5
resources:
  requests: {cpu: "{cpus}", memory: {memory_gib}Gi, ephemeral-storage: 1Gi}
  limits:
    cpu: "{cpus}"
    memory: {memory_gib}Gi
    ephemeral-storage: 1Gi
    {gpu_limit}
)";

absl::string_view PullPolicyName(KubernetesSettings::PullPolicy policy) {
  if (policy == KubernetesSettings::ALWAYS) return "Always";
  return policy == KubernetesSettings::NEVER ? "Never" : "IfNotPresent";
}

}  // namespace

std::string ListenOn(uint16_t port) { return absl::StrCat("[::]:", port); }

RolePorts PodPorts() {
  return {.certificates = "/etc/reckon/certificates",
          .health_listen = ListenOn(kHealthPort),
          .metrics_listen = ListenOn(kMetricsPort)};
}

std::string ArgumentList(const std::vector<std::string>& literal,
                         const std::vector<std::string>& with_variables) {
  std::string list;
  for (const std::string& argument : literal) {
    // Of two dollars Kubernetes leaves one.
    absl::StrAppend(&list, "- ", YamlText(absl::StrReplaceAll(argument, {{"$", "$$"}})), "\n");
  }
  for (const std::string& argument : with_variables) {
    absl::StrAppend(&list, "- ", YamlText(argument), "\n");
  }
  return list;
}

std::string CoordinatorAddress(const KubernetesWorkload& workload) {
  return absl::StrCat(workload.run, "-coordinator:", kCoordinatorPort);
}

std::map<std::string, std::string> PodValues(const KubernetesWorkload& workload,
                                             const std::string& role,
                                             const RoleResources& resources) {
  const KubernetesSettings& settings = workload.config.kubernetes();
  std::map<std::string, std::string> values = {
      {"run", workload.run},
      {"role", role},
      {"config_hash", workload.config_hash},
      {"grace_seconds", absl::StrCat(settings.grace_seconds())},
      {"image",
       YamlText(absl::StrCat(settings.image_prefix(), "-", role, ":", workload.image_tag))},
      {"pull_policy", std::string(PullPolicyName(settings.pull_policy()))},
      {"coordinator_port", absl::StrCat(kCoordinatorPort)},
      {"weights_port", absl::StrCat(kWeightsPort)},
      {"health_port", absl::StrCat(kHealthPort)},
      {"metrics_port", absl::StrCat(kMetricsPort)},
      {"cpus", absl::StrCat(resources.cpus())},
      {"memory_gib", absl::StrCat(resources.memory_gib())},
      {"gpu_limit", resources.gpus() == 0
                        ? ""
                        : absl::StrCat(YamlText(settings.gpu_resource()), ": ", resources.gpus())},
      {"storage_gib", absl::StrCat(settings.storage_gib())},
      {"storage_class", settings.has_storage_class()
                            ? absl::StrCat("storageClassName: ", YamlText(settings.storage_class()))
                            : ""},
  };
  values["labels"] = FillTemplate(kLabelsYaml, values);
  values["pod"] = FillTemplate(kPodYaml, values);
  values["container"] = FillTemplate(kContainerYaml, values);
  return values;
}

}  // namespace reckon
