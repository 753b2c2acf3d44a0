#ifndef RECKON_CLI_LAUNCHER_PROCESS_H_
#define RECKON_CLI_LAUNCHER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/exit_status.h"  // DescribeExit, of what Poll and Wait return

namespace reckon {

// A process to start.
struct Command {
  std::string name;               // for humans: "actor-0"
  std::vector<std::string> argv;  // argv[0] is the path of the program
  std::string log_path;           // stdout and stderr are appended to it
  // "NAME=VALUE", in place of those of this process.
  std::vector<std::string> environment = {};
};

// A child process. It has a process group of its own, so that Ctrl-C in the terminal does not reach
// it and the parent decides when it stops. The kernel kills it when the thread that started it ends
// (PR_SET_PDEATHSIG), so no child outlives a crashed parent. Owned by that thread; not thread-safe.
// The destructor kills and reaps it.
class Process {
 public:
  // NOT_FOUND: there is no such program.
  static absl::StatusOr<Process> Start(const Command& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  // The wait status (waitpid) once it has ended; nothing while it runs.
  std::optional<int> Poll();
  // As Poll, after at most `timeout`.
  std::optional<int> Wait(absl::Duration timeout);
  // Sends a signal if it still runs.
  void Signal(int signal);
  pid_t pid() const { return pid_; }
  // Its peak resident memory in bytes; 0 while it runs.
  int64_t peak_memory() const { return peak_memory_; }

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  void KillAndReap();

  pid_t pid_ = -1;
  std::optional<int> ended_;
  int64_t peak_memory_ = 0;
};

// Up to `lines` lines from the end of a log, for error messages: what its latest start has said. ""
// when that is nothing, or when there is no such file.
std::string LastLines(const std::string& path, int lines);

// The last words of a role, from its log: the last line of its latest start that begins with
// "reckon-", without the program's name. "" when it ended without a word, as in a crash.
std::string LastWords(const std::string& path);

// The folder of the running program.
std::string ProgramFolder();

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_PROCESS_H_
