#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_WORKLOADS_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_WORKLOADS_H_

#include <string>

#include "proto/config.pb.h"

namespace reckon {

// The parts of kubernetes_manifests.h that run programs, as YAML.
struct KubernetesWorkload {
  const RunConfig& config;
  std::string run;  // KubernetesName of the run
  std::string image_tag;
  std::string config_hash;  // of the ConfigMap's text: pods of another config are other pods
  uint32_t coordinator_gib = 0, actor_gib = 0, learner_gib = 0;  // memory of one pod
};

std::string CoordinatorYaml(const KubernetesWorkload& workload);
std::string ActorYaml(const KubernetesWorkload& workload);
std::string LearnerYaml(const KubernetesWorkload& workload);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_WORKLOADS_H_
