#include "cli/launcher/kubernetes_workloads.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "cli/launcher/cluster_ports.h"
#include "cli/launcher/role_commands.h"
#include "cli/launcher/text_template.h"

namespace reckon {
namespace {

constexpr char kCoordinatorYaml[] = R"(apiVersion: v1
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
                  app.kubernetes.io/instance: "{run}"
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

constexpr char kActorYaml[] = R"(apiVersion: apps/v1
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
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        args:
        {arguments}
        ports:
        - {name: weights, containerPort: {weights_port}}
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

}  // namespace

std::string CoordinatorYaml(const KubernetesWorkload& workload) {
  std::map<std::string, std::string> values =
      PodValues(workload, "coordinator", workload.config.resources().coordinator());
  values["arguments"] =
      ArgumentList(CoordinatorArguments(workload.config, {.store = "/var/lib/reckon/store",
                                                          .listen = ListenOn(kCoordinatorPort),
                                                          .ports = PodPorts()}),
                   {});
  return FillTemplate(kCoordinatorYaml, values);
}

std::string ActorYaml(const KubernetesWorkload& workload) {
  const ResourceSettings& resources = workload.config.resources();
  std::map<std::string, std::string> values = PodValues(workload, "actor", resources.actor());
  values["actors"] = absl::StrCat(resources.actors());
  values["arguments"] =
      ArgumentList(ActorArguments(workload.config, {.coordinator = CoordinatorAddress(workload),
                                                    .threads = resources.actor().cpus(),
                                                    .listen = ListenOn(kWeightsPort),
                                                    .ports = PodPorts()}),
                   {"--name=$(POD_NAME)", "--announce=$(POD_IP)"});
  return FillTemplate(kActorYaml, values);
}

}  // namespace reckon
