#ifndef RECKON_CLI_SUPERVISOR_H_
#define RECKON_CLI_SUPERVISOR_H_

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
#include "cli/process.h"
#include "common/base/stop_token.h"

namespace reckon {

// Keeps child processes running: *daemons* (coordinator, actors) are restarted one by one with
// back-off; the *group* (learner ranks) fails and is restarted as a whole, and its clean end is the
// end of the run. Everything happens in the thread that calls Run, which must be the one that made
// the first daemons start; not thread-safe. What cannot be kept running ends Run with the last
// lines of its log.
class Supervisor {
 public:
  struct Options {
    absl::Duration first_backoff = absl::Milliseconds(250);  // doubled with each failure in a row
    absl::Duration last_backoff = absl::Seconds(15);
    absl::Duration healthy_after = absl::Seconds(60);  // a life this long ends a row of failures
    int max_failures = 5;                              // in a row, then Run fails
    absl::Duration stop_timeout = absl::Seconds(20);   // from SIGTERM to SIGKILL
    absl::Duration poll = absl::Milliseconds(20);
  };

  explicit Supervisor(Options options) : options_(options) {}

  // Starts a daemon now. Stopped in the opposite order of their start.
  absl::Status StartDaemon(Command command);
  // Its next start uses this command: the coordinator keeps the port it got.
  void ReplaceDaemon(const Command& command);
  // OK while the daemon runs; else how it ended.
  absl::Status CheckDaemon(const std::string& name);

  struct Group {
    std::function<std::vector<Command>(int attempt)> make;  // attempt 0 is the first
    // A figure that grows when the group gets somewhere, which ends a row of failures.
    std::function<int64_t()> progress = [] { return 0; };
    // Asked when all have exited with 0, which a member that someone else stopped does too.
    std::function<bool()> finished = [] { return true; };
  };
  void SetGroup(Group group) { group_source_ = std::move(group); }

  // Until the group has ended well (OK), something cannot be kept running (its last log lines), or
  // `stop` (CANCELLED). Children are stopped before it returns. `tick` is called often.
  absl::Status Run(const StopToken* stop, const std::function<void()>& tick);

  // Events worth telling a person: "actor-0 killed by signal 9; restarted".
  std::function<void(const std::string&)> on_event = [](const std::string&) {};

  void StopAll();

  // Most memory that any process of a name held, in bytes, of those that have ended by themselves
  // or been stopped.
  const std::map<std::string, int64_t>& peak_memory() const { return peak_memory_; }

 private:
  struct Member {
    Command command;
    std::optional<Process> process;
    absl::Time started;
    absl::Time start_at = absl::InfinitePast();
    int failures = 0;
  };

  absl::Status StartMember(Member* member);
  // Lets go of a process that has ended.
  void Forget(Member* member);
  absl::Status PollDaemon(Member* member);
  absl::Status StartGroup();
  // True: the group has ended well.
  absl::StatusOr<bool> PollGroup();
  absl::Duration Backoff(int failures) const;
  absl::Status GiveUp(const Command& command, const std::string& how, int failures) const;
  void StopMembers(std::vector<Member*> members);

  const Options options_;
  std::map<std::string, int64_t> peak_memory_;
  std::vector<std::unique_ptr<Member>> daemons_;
  std::vector<std::unique_ptr<Member>> group_;
  Group group_source_;
  int attempt_ = 0;
  int group_failures_ = 0;
  int64_t best_progress_ = 0;
  absl::Time group_start_at_ = absl::InfinitePast();
};

}  // namespace reckon

#endif  // RECKON_CLI_SUPERVISOR_H_
