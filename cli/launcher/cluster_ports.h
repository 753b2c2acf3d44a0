#ifndef RECKON_CLI_LAUNCHER_CLUSTER_PORTS_H_
#define RECKON_CLI_LAUNCHER_CLUSTER_PORTS_H_

#include <cstdint>

namespace reckon {

// The ports of the roles where each has an address of its own, as a pod has. Where several share a
// machine, as jobs of Slurm do, each takes any free port and tells it.
inline constexpr uint16_t kCoordinatorPort = 7070;
inline constexpr uint16_t kWeightsPort = 7071;  // of the learner's rank 0 and of actors
inline constexpr uint16_t kHealthPort = 7080;
inline constexpr uint16_t kMetricsPort = 7090;

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_CLUSTER_PORTS_H_
