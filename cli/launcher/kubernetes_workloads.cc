#include "cli/launcher/kubernetes_workloads.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/launcher/cluster_ports.h"
#include "cli/launcher/role_commands.h"
#include "cli/launcher/text_template.h"

namespace reckon {
namespace {

using Values = std::map<std::string, std::string>;

constexpr uint32_t kCoordinatorCpus = 2;

// All addresses of the pod, IPv6 included.
std::string ListenOn(uint16_t port) { return absl::StrCat("[::]:", port); }

RolePorts PodPorts() {
  return {.certificates = "/etc/reckon/certificates",
          .health_listen = ListenOn(kHealthPort),
          .metrics_listen = ListenOn(kMetricsPort)};
}

std::string ArgumentList(const std::vector<std::string>& arguments) {
  std::string list;
  for (const std::string& argument : arguments) absl::StrAppend(&list, "- \"", argument, "\"\n");
  return list;
}

// Labels of all objects of a role; those of the selector alone never change.
constexpr char kLabels[] = R"(app.kubernetes.io/name: reckon
app.kubernetes.io/instance: {run}
app.kubernetes.io/component: {role}
)";

// Security and service account of every pod: the restricted level of Pod Security, and no token of
// the API, which no role calls.
constexpr char kPod[] = R"(serviceAccountName: reckon-{role}
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
constexpr char kContainer[] = R"(securityContext:
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
  requests: {cpu: "{cpus}", memory: {memory_gib}Gi, ephemeral-storage: {ephemeral}}
  limits:
    cpu: "{cpus}"
    memory: {memory_gib}Gi
    ephemeral-storage: {ephemeral}
    {gpu_limit}
)";

constexpr char kCoordinator[] = R"(apiVersion: v1
kind: Service
metadata:
  name: {run}-coordinator
  labels:
    {labels}
spec:
  selector:
    {labels}
  ports:
  - {name: grpc, port: {coordinator_port}, targetPort: grpc}
  - {name: metrics, port: {metrics_port}, targetPort: metrics}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {run}-coordinator
  labels:
    {labels}
spec:
  # One: it keeps the run's ledger. A lost pod is replaced, and everything waits for it.
  replicas: 1
  serviceName: {run}-coordinator
  selector:
    matchLabels:
      {labels}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  template:
    metadata:
      labels:
        {labels}
      annotations:
        reckon/config-sha256: "{config_hash}"
    spec:
      {pod}
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 100
            podAffinityTerm:
              topologyKey: kubernetes.io/hostname
              labelSelector:
                matchLabels:
                  app.kubernetes.io/instance: {run}
                  app.kubernetes.io/component: learner
      containers:
      - name: coordinator
        image: {image}
        imagePullPolicy: {pull_policy}
        args:
        {arguments}
        ports:
        - {name: grpc, containerPort: {coordinator_port}}
        - {name: health, containerPort: {health_port}}
        - {name: metrics, containerPort: {metrics_port}}
        {container}
        volumeMounts:
        - {name: store, mountPath: /var/lib/reckon}
        - {name: certificates, mountPath: /etc/reckon/certificates, readOnly: true}
        - {name: tmp, mountPath: /tmp}
      volumes:
      - name: certificates
        secret: {secretName: {run}-coordinator, defaultMode: 0400}
      - name: tmp
        emptyDir: {sizeLimit: 64Mi}
  volumeClaimTemplates:
  - metadata:
      name: store
      labels:
        {labels}
    spec:
      accessModes: [ReadWriteOnce]
      {storage_class}
      resources: {requests: {storage: {storage_gib}Gi}}
)";

constexpr char kActor[] = R"(apiVersion: apps/v1
kind: Deployment
metadata:
  name: {run}-actor
  labels:
    {labels}
spec:
  # May change at any time: a lost actor's samples are leased to others.
  replicas: {actors}
  selector:
    matchLabels:
      {labels}
  template:
    metadata:
      labels:
        {labels}
      annotations:
        reckon/config-sha256: "{config_hash}"
    spec:
      {pod}
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector:
          matchLabels:
            {labels}
      containers:
      - name: actor
        image: {image}
        imagePullPolicy: {pull_policy}
        env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        args:
        {arguments}
        ports:
        - {name: health, containerPort: {health_port}}
        - {name: metrics, containerPort: {metrics_port}}
        {container}
        volumeMounts:
        - {name: certificates, mountPath: /etc/reckon/certificates, readOnly: true}
        - {name: tmp, mountPath: /tmp}
      volumes:
      - name: certificates
        secret: {secretName: {run}-actor, defaultMode: 0400}
      - name: tmp
        emptyDir: {sizeLimit: 64Mi}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {run}-actor
  labels:
    {labels}
spec:
  maxUnavailable: 25%
  selector:
    matchLabels:
      {labels}
)";

constexpr char kLearner[] = R"(apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: {run}-learner
  labels:
    {labels}
    reckon/learner-ranks: "{learner_ranks}"
    {queue}
spec:
  network: {enableDNSHostnames: true, publishNotReadyAddresses: true}
  successPolicy: {operator: All}
  # All ranks restart together, as a new term, from the newest checkpoint. A pod never starts again
  # by itself: the ranks of one start must have one nonce.
  failurePolicy:
    maxRestarts: {max_restarts}
    restartStrategy: BlockingRecreate
    rules:
    - name: configuration
      action: FailJobSet
      onJobFailureReasons: [PodFailurePolicy]
      onJobFailureMessagePatterns: ["exit code 78 "]
    - name: temporary
      action: RestartJobSetAndIgnoreMaxRestarts
      onJobFailureReasons: [PodFailurePolicy]
      onJobFailureMessagePatterns: ["exit code 75 ", "condition DisruptionTarget "]
  replicatedJobs:
  - name: first
    replicas: 1
    template:
      {job_of_first}
  {others}
)";

constexpr char kOthers[] = R"(- name: others
  replicas: {other_ranks}
  template:
    {job_of_others}
)";

// Each rank is a job of one pod, so that its number in the JobSet is its rank.
constexpr char kJob[] = R"(spec:
  completionMode: Indexed
  completions: 1
  parallelism: 1
  backoffLimit: 0
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
    - action: FailJob
      onExitCodes: {containerName: learner, operator: In, values: [75, 78]}
    - action: FailJob
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
  template:
    metadata:
      labels:
        {labels}
      annotations:
        reckon/config-sha256: "{config_hash}"
    spec:
      restartPolicy: Never
      {pod}
      {placement}
      containers:
      - name: learner
        image: {image}
        imagePullPolicy: {pull_policy}
        env:
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        - name: RANK
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['jobset.sigs.k8s.io/job-global-index']"}}
        - name: WORLD_SIZE
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['jobset.sigs.k8s.io/global-replicas']"}}
        - name: JOBSET_UID
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['jobset.sigs.k8s.io/jobset-uid']"}}
        - name: ATTEMPT
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['jobset.sigs.k8s.io/restart-attempt']"}}
        args:
        {arguments}
        ports:
        - {name: weights, containerPort: {weights_port}}
        - {name: health, containerPort: {health_port}}
        - {name: metrics, containerPort: {metrics_port}}
        {container}
        volumeMounts:
        - {name: run, mountPath: /var/lib/reckon}
        - {name: config, mountPath: /etc/reckon/config, readOnly: true}
        - {name: certificates, mountPath: /etc/reckon/certificates, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {data_mount}
      volumes:
      {run_volume}
      - name: config
        configMap: {name: {run}-config}
      - name: certificates
        secret: {secretName: {run}-learner, defaultMode: 0400}
      - name: tmp
        emptyDir: {sizeLimit: 1Gi}
      {data_volume}
)";

// Where the ranks go. One machine for all of them, one for each, or at least learner_nodes machines
// with the same number of ranks, give or take one.
constexpr char kTogether[] = R"(affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {labels}
)";
constexpr char kApart[] = R"(affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {labels}
)";
constexpr char kSpread[] = R"(topologySpreadConstraints:
- maxSkew: 1
  minDomains: {learner_nodes}
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels:
      {labels}
)";

std::string Placement(const ResourceSettings& resources, const Values& values) {
  if (resources.learner_ranks() == 1) return "";
  if (resources.learner_nodes() == 1) return FillTemplate(kTogether, values);
  if (resources.learner_nodes() == resources.learner_ranks()) return FillTemplate(kApart, values);
  return FillTemplate(kSpread, values);
}

absl::string_view PullPolicyName(KubernetesSettings::PullPolicy policy) {
  if (policy == KubernetesSettings::ALWAYS) return "Always";
  return policy == KubernetesSettings::NEVER ? "Never" : "IfNotPresent";
}

// What templates of every role name. `cpus` and `gib` are those of one pod.
Values CommonValues(const KubernetesWorkload& workload, const std::string& role, uint32_t cpus,
                    uint32_t gib, const RoleResources& resources) {
  const KubernetesSettings& settings = workload.config.kubernetes();
  Values values = {
      {"run", workload.run},
      {"role", role},
      {"config_hash", workload.config_hash},
      {"grace_seconds", absl::StrCat(settings.grace_seconds())},
      {"image", absl::StrCat(settings.image_prefix(), "-", role, ":", workload.image_tag)},
      {"pull_policy", std::string(PullPolicyName(settings.pull_policy()))},
      {"coordinator_port", absl::StrCat(kCoordinatorPort)},
      {"weights_port", absl::StrCat(kWeightsPort)},
      {"health_port", absl::StrCat(kHealthPort)},
      {"metrics_port", absl::StrCat(kMetricsPort)},
      {"cpus", absl::StrCat(cpus)},
      {"memory_gib", absl::StrCat(gib)},
      {"ephemeral", "1Gi"},
      {"gpu_limit",
       resources.gpus() == 0 ? "" : absl::StrCat(settings.gpu_resource(), ": ", resources.gpus())},
      {"storage_gib", absl::StrCat(settings.storage_gib())},
      {"storage_class", settings.has_storage_class()
                            ? absl::StrCat("storageClassName: ", settings.storage_class())
                            : ""},
  };
  values["labels"] = FillTemplate(kLabels, values);
  values["pod"] = FillTemplate(kPod, values);
  return values;
}

std::string CoordinatorAddress(const KubernetesWorkload& workload) {
  return absl::StrCat(workload.run, "-coordinator:", kCoordinatorPort);
}

}  // namespace

std::string CoordinatorYaml(const KubernetesWorkload& workload) {
  const RoleResources& resources = workload.config.resources().coordinator();
  const uint32_t cpus = resources.cpus() == 0 ? kCoordinatorCpus : resources.cpus();
  Values values =
      CommonValues(workload, "coordinator", cpus, workload.coordinator_gib, RoleResources());
  values["container"] = FillTemplate(kContainer, values);
  values["arguments"] =
      ArgumentList(CoordinatorArguments(workload.config, {.store = "/var/lib/reckon/store",
                                                          .listen = ListenOn(kCoordinatorPort),
                                                          .ports = PodPorts()}));
  return FillTemplate(kCoordinator, values);
}

std::string ActorYaml(const KubernetesWorkload& workload) {
  const ResourceSettings& resources = workload.config.resources();
  const uint32_t cpus = ClusterCpus(resources.actor());
  Values values = CommonValues(workload, "actor", cpus, workload.actor_gib, resources.actor());
  values["actors"] = absl::StrCat(resources.actors());
  values["container"] = FillTemplate(kContainer, values);
  values["arguments"] =
      ArgumentList(ActorArguments(workload.config, {.coordinator = CoordinatorAddress(workload),
                                                    .name = "$(POD_NAME)",
                                                    .threads = cpus,
                                                    .ports = PodPorts()}));
  return FillTemplate(kActor, values);
}

std::string LearnerYaml(const KubernetesWorkload& workload) {
  const ResourceSettings& resources = workload.config.resources();
  const KubernetesSettings& settings = workload.config.kubernetes();
  Values values = CommonValues(workload, "learner", ClusterCpus(resources.learner()),
                               workload.learner_gib, resources.learner());
  std::vector<std::string> arguments =
      LearnerArguments({.coordinator = CoordinatorAddress(workload),
                        .config = "/etc/reckon/config/config.textproto",
                        .run_dir = "/var/lib/reckon/run",
                        .nonce = "$(JOBSET_UID)-$(ATTEMPT)",
                        .interface_address = "$(POD_IP)",
                        .listen = ListenOn(kWeightsPort),
                        .announce = "$(POD_IP)",
                        .ports = PodPorts()});
  arguments.push_back("--rank=$(RANK)");
  arguments.push_back("--world_size=$(WORLD_SIZE)");
  values["arguments"] = ArgumentList(arguments);
  values["max_restarts"] = absl::StrCat(settings.max_restarts());
  values["learner_ranks"] = absl::StrCat(resources.learner_ranks());
  values["learner_nodes"] = absl::StrCat(resources.learner_nodes());
  values["other_ranks"] = absl::StrCat(resources.learner_ranks() - 1);
  values["queue"] =
      settings.has_queue() ? absl::StrCat("kueue.x-k8s.io/queue-name: ", settings.queue()) : "";
  values["placement"] = Placement(resources, values);
  values["data_mount"] =
      settings.has_data_claim() ? "- {name: data, mountPath: /data, readOnly: true}" : "";
  values["data_volume"] = settings.has_data_claim()
                              ? absl::StrCat("- name: data\n  persistentVolumeClaim: {claimName: ",
                                             settings.data_claim(), ", readOnly: true}")
                              : "";

  Values first = values;
  first["container"] = FillTemplate(kContainer, first);
  first["run_volume"] =
      absl::StrCat("- name: run\n  persistentVolumeClaim: {claimName: ", workload.run, "-learner}");
  values["job_of_first"] = FillTemplate(kJob, first);

  values["others"] = "";
  if (resources.learner_ranks() > 1) {
    Values others = values;
    others["ephemeral"] = absl::StrCat(settings.storage_gib(), "Gi");
    others["container"] = FillTemplate(kContainer, others);
    // Ranks without the run's volume keep what they fetch in a folder of their own.
    others["run_volume"] =
        absl::StrCat("- name: run\n  emptyDir: {sizeLimit: ", others["ephemeral"], "}");
    others["job_of_others"] = FillTemplate(kJob, others);
    values["others"] = FillTemplate(kOthers, others);
  }
  return FillTemplate(kLearner, values);
}

}  // namespace reckon
