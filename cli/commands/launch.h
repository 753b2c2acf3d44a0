#ifndef RECKON_CLI_COMMANDS_LAUNCH_H_
#define RECKON_CLI_COMMANDS_LAUNCH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"

namespace reckon {

struct LaunchOptions {
  std::string config;            // file
  std::vector<std::string> set;  // overrides, "a.b=c"
  enum class Target { kLocal, kSlurm, kKubernetes };
  Target target = Target::kLocal;
  bool dry_run = false;
  bool resume = false;
  bool metrics = false;  // with kLocal: serve each process's metrics; elsewhere they always are
  bool verbose = false;  // with kLocal: a line for each step on a terminal too
  bool apply = false;    // with kKubernetes: give the manifests to kubectl
};

// `reckon launch`, and `reckon train`, which is it with kLocal: loads the config, checks its memory
// plan, and
//
//   kLocal        starts the roles on this machine and stays until the run has ended
//   kSlurm        writes the scripts into <run_dir>/slurm, submits them and returns
//   kKubernetes   writes the manifests, applies them if it is to, and returns
//
// With dry_run it prints what the run will do and take, and the files, and starts and writes
// nothing. Errors are one line that names the file, flag or config key and what to do; the last
// lines of a log may follow. CANCELLED: stopped by a signal.
absl::Status Launch(const LaunchOptions& options, std::stop_token stop);

// The flags of `reckon train` and `reckon launch`.
CommandRun AddTrain(CLI::App* app);
CommandRun AddLaunch(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_LAUNCH_H_
