#ifndef RECKON_CLI_LAUNCHER_SUPERVISOR_H_
#define RECKON_CLI_LAUNCHER_SUPERVISOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/launcher/process.h"
#include "common/base/stop.h"

namespace reckon {

// Keeps the processes of a run alive.
//
//   daemon (coordinator, actors)   restarted on its own, with back-off
//   group  (the learner ranks)     one failure unit: when a rank fails, or runs without a sign of
//                                  life, all are killed and the group is restarted from its
//                                  checkpoint; its clean end ends the run
//
// Another start that would end the same way is not made. Run ends with ABORTED
//
//   at once                       when a process exits with kExitRecurs (common/base/exit_status.h)
//   at the second time in a row   when its last words are those of the time before
//   at the max_failures'th time   when it ends in another way
//
// and the message is one line with the last words, or the end of the log of a process that ended
// without any. A row ends after healthy_after, and for the group also with progress.
//
// Everything happens in the thread that calls StartDaemon and Run, which must be one thread
// (process.h); not thread-safe. Run polls its children every Options::poll, since waiting for
// several of them needs signal handlers or a thread for each: that costs one wait4 per child, and a
// failure is noticed at most `poll` later.
class Supervisor {
 public:
  struct Options {
    absl::Duration first_backoff = absl::Milliseconds(250);  // doubled by each failure in a row
    absl::Duration last_backoff = absl::Seconds(15);
    absl::Duration healthy_after = absl::Seconds(60);  // running this long ends a row of failures
    int max_failures = 5;                              // in a row
    absl::Duration stop_timeout = absl::Seconds(20);   // from SIGTERM to SIGKILL
    absl::Duration poll = absl::Milliseconds(20);
  };

  explicit Supervisor(Options options) : options_(options) {}

  // Starts a daemon now. The first one is the coordinator and is stopped last.
  absl::Status StartDaemon(Command command);
  // Restarts the daemon of that name with this command in future, so that the coordinator keeps its
  // port.
  void ReplaceDaemon(const Command& command);
  // OK while the daemon runs, else an error that says how it ended.
  absl::Status CheckDaemon(const std::string& name);

  struct Group {
    // The commands of one start of the group; attempt 0 is the first.
    std::function<std::vector<Command>(int attempt)> make;
    // A number that increases when the group makes progress, which ends a row of failures.
    std::function<int64_t()> progress = [] { return 0; };
    // Whether the work is done. Asked when all have exited with 0, which they also do when somebody
    // else stops them with SIGTERM.
    std::function<bool()> finished = [] { return true; };
    // Why the group must start again although no process of it has failed, for humans: one that was
    // stopped (SIGSTOP), say. Empty: it need not.
    std::function<std::string()> trouble = [] { return ""; };
  };
  void SetGroup(Group group) { group_source_ = std::move(group); }

  // Runs until the group has finished (OK), something cannot be kept running (ABORTED), or a stop
  // is requested (CANCELLED). Stops all children before it returns. Calls `tick` after every poll.
  absl::Status Run(std::stop_token stop, const std::function<void()>& tick);

  // Called with events for the user: "actor-0 killed by signal 9; starting it again".
  std::function<void(const std::string&)> on_event = [](const std::string&) {};

  // Stops the group, then the actors, then the coordinator: SIGTERM, and SIGKILL after
  // stop_timeout.
  void StopAll();

  // Peak memory in bytes by name of process, over all processes of that name that have ended.
  const std::map<std::string, int64_t>& peak_memory() const { return peak_memory_; }

 private:
  struct Member {
    Command command;
    std::optional<Process> process;
    absl::Time started;
    absl::Time start_at = absl::InfinitePast();
    int failures = 0;
    std::string last_words;  // of the failure before
  };

  absl::Status StartMember(Member* member);
  // Releases a process that has ended.
  void Forget(Member* member);
  absl::Status PollDaemon(Member* member);
  absl::Status StartGroup();
  // True: the group has finished.
  absl::StatusOr<bool> PollGroup();
  // Kills what is left of the group, which `started` then; its progress ends a row of failures.
  void EndGroup(absl::Time started);
  absl::Duration Backoff(int failures) const;
  // Why `command` is not started again after it ended `failures` times in a row; OK: it is.
  absl::Status CheckFailure(const Command& command, int wait_status, int failures,
                            std::string* last_words) const;
  absl::Status GiveUp(const Command& command, const std::string& how, int failures) const;
  void StopMembers(std::vector<Member*> members);

  const Options options_;
  std::map<std::string, int64_t> peak_memory_;
  std::vector<std::unique_ptr<Member>> daemons_;
  std::vector<std::unique_ptr<Member>> group_;
  Group group_source_;
  int attempt_ = 0;
  int group_failures_ = 0;
  std::string group_last_words_;
  int64_t best_progress_ = 0;
  absl::Time group_start_at_ = absl::InfinitePast();
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_SUPERVISOR_H_
