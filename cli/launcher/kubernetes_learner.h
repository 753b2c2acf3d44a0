#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_LEARNER_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_LEARNER_H_

#include <string>

#include "cli/launcher/kubernetes_pod.h"

namespace reckon {

// The learner group as a JobSet of two kinds of jobs: "first" is rank 0, "others" the other ranks.
// Each rank is a job of one pod, so that its number in the JobSet is its rank; all of them restart
// together, with another nonce each time.
std::string LearnerYaml(const KubernetesWorkload& workload);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_LEARNER_H_
