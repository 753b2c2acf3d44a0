#ifndef RECKON_CLI_LAUNCHER_LOCAL_ROLES_H_
#define RECKON_CLI_LAUNCHER_LOCAL_ROLES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/launcher/local_gpus.h"
#include "cli/launcher/process.h"
#include "cli/launcher/role_commands.h"
#include "cli/launcher/supervisor.h"
#include "common/base/stop.h"
#include "common/net/identity.h"
#include "proto/config.pb.h"

namespace reckon {

struct LocalPlace {
  std::string run_dir;
  std::string logs;  // folder
  // Folder of the files that tell Prometheus of each process; empty: no metrics are served.
  std::string targets = "";
  LocalGpus gpus = {};
  bool turns = false;  // TakesTurns
};

// The command lines of the processes of one run on this machine, made from its config. Logs go to
// <logs>/<name>.log, where the names are coordinator, actor-0, learner-0, ... All have
// certificates, since other users of the machine reach its loopback ports as well: whoever starts
// roles has called EnsureRunCertificates for the run's folder. Immutable.
class LocalRoles {
 public:
  // The programs are taken from ProgramsFolder().
  LocalRoles(RunConfig config, LocalPlace place);

  Command Coordinator(const std::string& listen) const;
  Command Actor(const std::string& coordinator, uint32_t index) const;
  // All ranks of one start of the learner group have the same nonce, by which the coordinator gives
  // them one term.
  std::vector<Command> Learner(const std::string& coordinator, const std::string& nonce,
                               bool resume) const;

  // Starts the coordinator and returns its address once it answers (UNAVAILABLE after 60 s;
  // CANCELLED when stopped). Restarts by the supervisor use the same port.
  absl::StatusOr<std::string> StartCoordinator(Supervisor* supervisor, std::stop_token stop) const;
  // The certificates of a role of this run.
  std::string CertificatesFor(Role role) const;
  absl::Status StartActors(Supervisor* supervisor, const std::string& coordinator) const;

 private:
  // `gpus`: those of all processes of the role; empty: it sees what this process sees.
  Command MakeCommand(const std::string& program, const std::string& name,
                      std::vector<std::string> arguments, const std::vector<std::string>& gpus = {},
                      uint32_t index = 0) const;
  RolePorts PortsOf(Role role, const std::string& name) const;
  std::string port_file() const { return place_.run_dir + "/coordinator.port"; }
  // Of a card that a rank and actors share by turns; empty: they take none, or the rank is alone.
  std::string TurnFile(uint32_t card) const;

  RunConfig config_;
  LocalPlace place_;
  std::string programs_;
};

// 16 random hexadecimal digits.
std::string MakeNonce();

// The folder of reckon-coordinator and the other programs: $RECKON_PROGRAMS, which tests set, or
// the folder of this program.
std::string ProgramsFolder();

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_LOCAL_ROLES_H_
