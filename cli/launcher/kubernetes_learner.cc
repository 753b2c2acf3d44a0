#include "cli/launcher/kubernetes_learner.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/launcher/cluster_ports.h"
#include "cli/launcher/role_commands.h"
#include "cli/launcher/text_template.h"

namespace reckon {
namespace {

using Values = std::map<std::string, std::string>;

constexpr char kLearnerYaml[] = R"(apiVersion: jobset.x-k8s.io/v1alpha2
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
    # Before the next: the other ranks may end with 75 because of one that failed.
    - name: failure
      action: RestartJobSet
      onJobFailureReasons: [BackoffLimitExceeded]
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

constexpr char kOthersYaml[] = R"(- name: others
  replicas: {other_ranks}
  template:
    {job_of_others}
)";

// Each rank is a job of one pod, so that its number in the JobSet is its rank.
constexpr char kJobYaml[] = R"(spec:
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
        - name: RESUME
          valueFrom: {configMapKeyRef: {name: {run}-config, key: resume}}
        args:
        {arguments}
        ports:
        - {name: weights, containerPort: {weights_port}}
        - {name: health, containerPort: {health_port}}
        - {name: metrics, containerPort: {metrics_port}}
        {container}
        volumeMounts:
        {mounts_of_first}
        - {name: certificates, mountPath: /etc/reckon/certificates, readOnly: true}
        - {name: tmp, mountPath: /tmp}
      volumes:
      {volumes_of_first}
      - name: certificates
        secret: {secretName: {run}-learner, defaultMode: 0400}
      - name: tmp
        emptyDir: {sizeLimit: 1Gi}
)";

// Where the ranks go. One machine for all of them, one for each, or at least learner_nodes machines
// with the same number of ranks, give or take one.
constexpr char kTogetherYaml[] = R"(affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {labels}
)";
constexpr char kApartYaml[] = R"(affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {labels}
)";
constexpr char kSpreadYaml[] = R"(topologySpreadConstraints:
- maxSkew: 1
  minDomains: {learner_nodes}
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels:
      {labels}
)";

std::string RankPlacement(const ResourceSettings& resources, const Values& values) {
  if (resources.learner_ranks() == 1) return "";
  if (resources.learner_nodes() == 1) return FillTemplate(kTogetherYaml, values);
  if (resources.learner_nodes() == resources.learner_ranks())
    return FillTemplate(kApartYaml, values);
  return FillTemplate(kSpreadYaml, values);
}

// What rank 0 alone has: the run's folder, the config, and models and data of a claim. It gives the
// other ranks what they need of them.
constexpr char kMountsOfFirstYaml[] = R"(- {name: run, mountPath: /var/lib/reckon}
- {name: config, mountPath: /etc/reckon/config, readOnly: true}
)";
constexpr char kVolumesOfFirstYaml[] = R"(- name: run
  persistentVolumeClaim: {claimName: {run}-learner}
- name: config
  configMap: {name: {run}-config}
)";

// The values of a rank's job, as those of the other ranks need them.
Values JobValues(const KubernetesWorkload& workload) {
  const ResourceSettings& resources = workload.config.resources();
  Values values = PodValues(workload, "learner", resources.learner());
  values["arguments"] = ArgumentList(
      LearnerArguments({.coordinator = CoordinatorAddress(workload),
                        .config = "/etc/reckon/config/config.textproto",
                        .run_dir = "/var/lib/reckon/run",
                        .resume = false,
                        .listen = ListenOn(kWeightsPort),
                        .ports = PodPorts()}),
      {"--rank=$(RANK)", "--world_size=$(WORLD_SIZE)", "--nonce=$(JOBSET_UID)-$(ATTEMPT)",
       "--resume=$(RESUME)", "--launch=$(JOBSET_UID)", "--interface_address=$(POD_IP)",
       "--announce=$(POD_IP)"});
  values["learner_nodes"] = absl::StrCat(resources.learner_nodes());
  values["placement"] = RankPlacement(resources, values);
  values["mounts_of_first"] = values["volumes_of_first"] = "";
  return values;
}

}  // namespace

std::string LearnerYaml(const KubernetesWorkload& workload) {
  const ResourceSettings& resources = workload.config.resources();
  const KubernetesSettings& settings = workload.config.kubernetes();
  const Values others = JobValues(workload);
  Values values = others;
  values["mounts_of_first"] = kMountsOfFirstYaml;
  values["volumes_of_first"] = FillTemplate(kVolumesOfFirstYaml, values);
  if (settings.has_data_claim()) {
    values["mounts_of_first"] += "- {name: data, mountPath: /data, readOnly: true}\n";
    absl::StrAppend(&values["volumes_of_first"],
                    "- name: data\n  persistentVolumeClaim: {claimName: ",
                    YamlText(settings.data_claim()), ", readOnly: true}\n");
  }
  values["max_restarts"] = absl::StrCat(settings.max_restarts());
  values["learner_ranks"] = absl::StrCat(resources.learner_ranks());
  values["queue"] = settings.has_queue()
                        ? absl::StrCat("kueue.x-k8s.io/queue-name: ", YamlText(settings.queue()))
                        : "";
  values["job_of_first"] = FillTemplate(kJobYaml, values);
  values["job_of_others"] = FillTemplate(kJobYaml, others);
  values["other_ranks"] = absl::StrCat(resources.learner_ranks() - 1);
  values["others"] = resources.learner_ranks() > 1 ? FillTemplate(kOthersYaml, values) : "";
  return FillTemplate(kLearnerYaml, values);
}

}  // namespace reckon
