#ifndef RECKON_COMMON_REWARD_LINE_PROCESS_H_
#define RECKON_COMMON_REWARD_LINE_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace reckon {

// Bytes of the longest line that a process may write.
inline constexpr size_t kMaxReplyBytes = 1 << 20;

// A child process that answers each line of its standard input with one line of its standard
// output. It is started without a shell (posix_spawn) in a process group of its own, with the
// environment and the folder of this process and no other of its files. The destructor kills the
// group and reaps the child; when this process is killed, its input ends.
//
// Used by one thread, which may block in Exchange, but for Kill.
class LineProcess {
 public:
  // Looks for a program without a '/' in PATH. `memory_bytes` bounds its data (RLIMIT_DATA); 0: no
  // bound. NOT_FOUND, PERMISSION_DENIED and others: the program cannot be started.
  static absl::StatusOr<std::unique_ptr<LineProcess>> Start(const std::vector<std::string>& argv,
                                                            uint64_t memory_bytes);
  ~LineProcess();
  LineProcess(const LineProcess&) = delete;
  LineProcess& operator=(const LineProcess&) = delete;

  // Writes `line` and a newline, and returns the next line without its newline. After an error the
  // process must be destroyed, since what it may still write belongs to no line.
  //   DEADLINE_EXCEEDED   no line until `deadline`
  //   UNAVAILABLE         it has ended: how, and the last line of its standard error
  //   RESOURCE_EXHAUSTED  its line is longer than kMaxReplyBytes
  absl::StatusOr<std::string> Exchange(absl::string_view line, absl::Time deadline);

  // OK: it still runs at `deadline`, without having been asked anything. UNAVAILABLE as Exchange.
  absl::Status RunsUntil(absl::Time deadline);

  // Lets a call of Exchange return at once. Any thread, while the object lives.
  void Kill() const;

 private:
  LineProcess(pid_t pid, int in, int in_reader, int out, int err)
      : pid_(pid), in_(in), in_reader_(in_reader), out_(out), err_(err) {}
  // Reads what there is; false at the end of the stream.
  bool ReadOutput();
  bool ReadErrors();
  void TakeErrors();
  absl::Status Ended();

  const pid_t pid_;
  const int in_;         // a pipe to its standard input
  const int in_reader_;  // its other end: while that is open here, no write raises SIGPIPE
  const int out_;        // pipes from its standard output and standard error
  int err_;              // -1: it has closed it
  std::string output_;   // read and not yet returned
  std::string errors_;   // the end of its standard error
  bool reaped_ = false;
};

}  // namespace reckon

#endif  // RECKON_COMMON_REWARD_LINE_PROCESS_H_
