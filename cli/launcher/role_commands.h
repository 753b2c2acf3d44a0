#ifndef RECKON_CLI_LAUNCHER_ROLE_COMMANDS_H_
#define RECKON_CLI_LAUNCHER_ROLE_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/config.pb.h"

namespace reckon {

// The arguments of the three programs, made from a run's config and from what only the place where
// a program runs knows: addresses, folders, numbers. One source for processes on this machine,
// scripts of Slurm and manifests of Kubernetes. Values are passed as they are. A script or
// manifest, which has to quote them, leaves a field empty whose value is a variable there, and
// appends the flag itself. An empty or absent field gives no flag.

// What every role has beside its work.
struct RolePorts {
  std::string certificates;    // folder with ca.crt, tls.crt, tls.key, token; empty: plain text
  std::string health_listen;   // HOST:PORT of the gRPC health service
  std::string metrics_listen;  // HOST:PORT of /metrics
  std::string metrics_target;  // the file that tells Prometheus where that is
};

struct CoordinatorPlace {
  std::string store;      // folder
  std::string listen;     // HOST:PORT; port 0: any free one
  std::string port_file;  // to which it writes its address once it listens
  RolePorts ports;
};

struct ActorPlace {
  std::string coordinator;          // HOST:PORT
  std::string name;                 // unique in the run
  std::optional<uint32_t> threads;  // 0: the cores of the machine
  std::string listen = "";          // HOST:PORT of its weight server; empty: it serves no others
  bool shares_gpu = false;          // its GPU, if there is one, is the learner's as well
  // Of a device that it shares by turns: the file that tells whose turn it is. With
  // resources.turns: ON on a CPU as well.
  std::string turn_file = "";
  RolePorts ports;
};

struct LearnerPlace {
  std::string coordinator;  // HOST:PORT
  std::string config;       // file
  std::string run_dir;
  std::optional<uint32_t> rank, world_size;
  std::string nonce;           // equal on all ranks of one start of the group, new for each start
  bool resume = true;          // from the newest checkpoint, if there is one
  std::string listen;          // HOST:PORT of rank 0's weight server
  std::string turn_file = "";  // as ActorPlace's
  RolePorts ports;
};

// The KV cache of an actor that is given no size, where neither the GPU nor the turn is its alone.
inline constexpr uint32_t kSharedKvCacheMib = 1024;

std::vector<std::string> CoordinatorArguments(const RunConfig& config,
                                              const CoordinatorPlace& place);
std::vector<std::string> ActorArguments(const RunConfig& config, const ActorPlace& place);
std::vector<std::string> LearnerArguments(const LearnerPlace& place);

// Compute threads of one actor or rank on a cluster, where a process has what it asks for:
// `cpus` of its RoleResources, or 4.
uint32_t ClusterCpus(const RoleResources& resources);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_ROLE_COMMANDS_H_
