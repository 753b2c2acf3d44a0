#ifndef RECKON_CLI_LOCAL_ROLES_H_
#define RECKON_CLI_LOCAL_ROLES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/process.h"
#include "cli/supervisor.h"
#include "common/base/stop_token.h"
#include "proto/config.pb.h"

namespace reckon {

// The commands of the roles of one run on this machine, all from its config. Logs go to
// <run_dir>/logs/<role>.log. Immutable.
class LocalRoles {
 public:
  // The programs are those beside this one, or in $RECKON_PROGRAMS.
  LocalRoles(RunConfig config, std::string run_dir);

  Command Coordinator(const std::string& listen) const;
  Command Actor(const std::string& coordinator, uint32_t index) const;
  // One nonce a start of the group: it becomes one epoch.
  std::vector<Command> Learner(const std::string& coordinator, const std::string& nonce,
                               bool resume) const;

  // Starts the coordinator under `supervisor`, waits until it answers, makes restarts use the same
  // port, and writes the address to <run_dir>/coordinator.addr for `reckon show`. Returns it.
  absl::StatusOr<std::string> StartCoordinator(Supervisor* supervisor, const StopToken* stop) const;
  absl::Status StartActors(Supervisor* supervisor, const std::string& coordinator) const;

 private:
  Command Role(const std::string& program, const std::string& name) const;
  std::string port_file() const { return run_dir_ + "/coordinator.port"; }

  RunConfig config_;
  std::string run_dir_;
  std::string programs_;
};

// 16 random hexadecimal digits.
std::string MakeNonce();

// Folder of reckon-coordinator and its sisters.
std::string ProgramsFolder();

}  // namespace reckon

#endif  // RECKON_CLI_LOCAL_ROLES_H_
