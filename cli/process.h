#ifndef RECKON_CLI_PROCESS_H_
#define RECKON_CLI_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace reckon {

// What to start: a name for people, the command, and the file its output is appended to.
struct Command {
  std::string name;               // "actor-0"
  std::vector<std::string> argv;  // argv[0] is a path
  std::string log_path;
};

// A child process in a process group of its own, so that Ctrl-C reaches it only through us, and
// killed by the kernel when the thread that started it ends. Owned by that thread; not thread-safe.
// Killed and reaped by the destructor.
class Process {
 public:
  static absl::StatusOr<Process> Start(const Command& command);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  // The wait status once it has ended; nothing while it runs.
  std::optional<int> Poll();
  // Waits; nothing when it still runs after `timeout`.
  std::optional<int> Wait(absl::Duration timeout);
  void Signal(int signal);
  pid_t pid() const { return pid_; }
  // Most memory it held, in bytes; 0 while it runs.
  int64_t peak_memory() const { return peak_memory_; }

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  void KillAndReap();

  pid_t pid_ = -1;
  std::optional<int> ended_;
  int64_t peak_memory_ = 0;
};

// "exited with code 1", "killed by signal 9 (Killed)".
std::string DescribeExit(int wait_status);

// The end of a log for an error message: up to `lines` lines, "" when there is none.
std::string LastLines(const std::string& path, int lines);

// Folder of the running program, where its sisters are.
std::string ProgramFolder();

}  // namespace reckon

#endif  // RECKON_CLI_PROCESS_H_
