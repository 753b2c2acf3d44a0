#include "cli/launcher/supervisor.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/exit_status.h"
#include "common/base/status_macros.h"

namespace reckon {

absl::Status Supervisor::StartMember(Member* member) {
  ASSIGN_OR_RETURN(Process process, Process::Start(member->command));
  member->process.emplace(std::move(process));
  member->started = absl::Now();
  return absl::OkStatus();
}

void Supervisor::Forget(Member* member) {
  int64_t& most = peak_memory_[member->command.name];
  most = std::max(most, member->process->peak_memory());
  member->process.reset();
}

absl::Status Supervisor::StartDaemon(Command command) {
  daemons_.push_back(std::make_unique<Member>());
  daemons_.back()->command = std::move(command);
  return StartMember(daemons_.back().get());
}

void Supervisor::ReplaceDaemon(const Command& command) {
  for (auto& member : daemons_) {
    if (member->command.name == command.name) member->command = command;
  }
}

absl::Status Supervisor::CheckDaemon(const std::string& name) {
  for (auto& member : daemons_) {
    if (member->command.name != name) continue;
    if (!member->process) return absl::UnavailableError(name + " is not running");
    std::optional<int> ended = member->process->Poll();
    if (!ended) return absl::OkStatus();
    return GiveUp(member->command, DescribeExit(*ended), 1);
  }
  return absl::NotFoundError(name);
}

absl::Duration Supervisor::Backoff(int failures) const {
  absl::Duration wait = options_.first_backoff;
  for (int i = 1; i < failures && wait < options_.last_backoff; ++i) wait *= 2;
  return std::min(wait, options_.last_backoff);
}

absl::Status Supervisor::GiveUp(const Command& command, const std::string& how,
                                int failures) const {
  const std::string times =
      failures > 1 ? absl::StrCat(", ", failures, " times in a row") : std::string();
  if (const std::string words = LastWords(command.log_path); !words.empty()) {
    return absl::AbortedError(
        absl::StrCat(command.name, times, ": ", words, "; its log is ", command.log_path));
  }
  std::string tail = LastLines(command.log_path, 8);
  return absl::AbortedError(absl::StrCat(command.name, " ", how, times, "; see ", command.log_path,
                                         tail.empty() ? "" : ", which ends with:\n", tail));
}

absl::Status Supervisor::CheckFailure(const Command& command, int wait_status, int failures,
                                      std::string* last_words) const {
  const std::string before = std::exchange(*last_words, LastWords(command.log_path));
  const bool recurs = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == kExitRecurs;
  const bool repeats = failures > 1 && !before.empty() && before == *last_words;
  if (!recurs && !repeats && failures < options_.max_failures) return absl::OkStatus();
  const bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
  return GiveUp(command, clean ? "ended before its work was done" : DescribeExit(wait_status),
                failures);
}

absl::Status Supervisor::PollDaemon(Member* member) {
  if (!member->process) {
    return absl::Now() < member->start_at ? absl::OkStatus() : StartMember(member);
  }
  std::optional<int> ended = member->process->Poll();
  if (!ended) return absl::OkStatus();
  Forget(member);
  if (absl::Now() - member->started >= options_.healthy_after) member->failures = 0;
  RETURN_IF_ERROR(CheckFailure(member->command, *ended, ++member->failures, &member->last_words));
  member->start_at = absl::Now() + Backoff(member->failures);
  on_event(absl::StrCat(member->command.name, " ", DescribeExit(*ended), "; starting it again"));
  return absl::OkStatus();
}

absl::Status Supervisor::StartGroup() {
  group_.clear();
  for (Command& command : group_source_.make(attempt_)) {
    group_.push_back(std::make_unique<Member>());
    group_.back()->command = std::move(command);
    RETURN_IF_ERROR(StartMember(group_.back().get()));
  }
  ++attempt_;
  return absl::OkStatus();
}

absl::StatusOr<bool> Supervisor::PollGroup() {
  if (!group_source_.make) return false;
  if (group_.empty()) {
    if (absl::Now() >= group_start_at_) RETURN_IF_ERROR(StartGroup());
    return false;
  }
  bool all_ended = true;
  const Member* failed = nullptr;
  int failed_status = 0;
  for (auto& member : group_) {
    std::optional<int> ended = member->process->Poll();
    all_ended &= ended.has_value();
    if (!ended || *ended == 0) continue;
    // A rank that fails only because another did has less to say.
    const bool recurs = WIFEXITED(*ended) && WEXITSTATUS(*ended) == kExitRecurs;
    if (failed == nullptr || recurs) {
      failed = member.get();
      failed_status = *ended;
    }
  }
  const std::string again = "; starting the learner again from its checkpoint";
  if (failed == nullptr && !all_ended) {
    const std::string trouble = group_source_.trouble();
    if (trouble.empty()) return false;
    EndGroup(group_.front()->started);
    if (++group_failures_ >= options_.max_failures) {
      return absl::AbortedError(absl::StrCat(trouble, ", ", group_failures_, " times in a row"));
    }
    group_start_at_ = absl::Now() + Backoff(group_failures_);
    on_event(trouble + again);
    return false;
  }
  if (failed == nullptr) {
    if (group_source_.finished()) return true;
    failed = group_.front().get();
  }

  const Command command = failed->command;
  std::string how =
      failed_status == 0 ? "ended before its work was done" : DescribeExit(failed_status);
  // Of a rank that ends because of another: which, and on which host.
  if (const std::string words = LastWords(command.log_path); !words.empty()) {
    absl::StrAppend(&how, ": ", words);
  }
  EndGroup(failed->started);
  RETURN_IF_ERROR(CheckFailure(command, failed_status, ++group_failures_, &group_last_words_));
  group_start_at_ = absl::Now() + Backoff(group_failures_);
  on_event(absl::StrCat(command.name, " ", how, again));
  return false;
}

void Supervisor::EndGroup(absl::Time started) {
  // The other ranks wait in a collective for the one that failed and cannot continue. SIGKILL,
  // which also ends a process that was stopped.
  group_.clear();
  const bool lived_long = absl::Now() - started >= options_.healthy_after;
  const int64_t progress = group_source_.progress();
  if (progress > best_progress_ || lived_long) group_failures_ = 0;
  best_progress_ = std::max(best_progress_, progress);
}

absl::Status Supervisor::Run(std::stop_token stop, const std::function<void()>& tick) {
  best_progress_ = group_source_.progress();
  absl::Status result;
  while (true) {
    if (WaitForStop(stop, options_.poll)) {
      result = absl::CancelledError("stopped");
      break;
    }
    for (auto& member : daemons_) {
      result = PollDaemon(member.get());
      if (!result.ok()) break;
    }
    if (!result.ok()) break;
    absl::StatusOr<bool> done = PollGroup();
    tick();
    result = done.status();
    if (!result.ok() || *done) break;
  }
  StopAll();
  tick();
  return result;
}

void Supervisor::StopMembers(std::vector<Member*> members) {
  for (Member* member : members) {
    if (member->process) member->process->Signal(SIGTERM);
  }
  absl::Time deadline = absl::Now() + options_.stop_timeout;
  for (Member* member : members) {
    if (!member->process) continue;
    if (!member->process->Wait(deadline - absl::Now())) {
      on_event(absl::StrCat(member->command.name, " has not stopped in time; killing it"));
    }
    Forget(member);
  }
}

void Supervisor::StopAll() {
  // Learners first, so that they still reach the coordinator; the coordinator last.
  std::vector<Member*> learners, others;
  for (auto& member : group_) learners.push_back(member.get());
  StopMembers(learners);
  group_.clear();
  for (size_t i = daemons_.size(); i-- > 1;) others.push_back(daemons_[i].get());
  StopMembers(others);
  if (!daemons_.empty()) StopMembers({daemons_[0].get()});
  daemons_.clear();
}

}  // namespace reckon
