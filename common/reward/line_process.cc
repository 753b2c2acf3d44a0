#include "common/reward/line_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/exit_status.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr size_t kReadBytes = 65536;
constexpr size_t kKeptErrorBytes = 4096;
constexpr size_t kShownErrorBytes = 300;
// Between the end of its output and its exit.
constexpr absl::Duration kExitsWithin = absl::Seconds(1);

// fds[0] reads what is written to fds[1].
absl::Status MakePipe(int fds[2]) {
  return ::pipe2(fds, O_CLOEXEC) == 0 ? absl::OkStatus()
                                      : absl::ErrnoToStatus(errno, "cannot make a pipe");
}

// Starts argv with these as its standard input, output and error.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  absl::Cleanup free_files = [&] { posix_spawn_file_actions_destroy(&files); };
  posix_spawn_file_actions_adddup2(&files, in, 0);
  posix_spawn_file_actions_adddup2(&files, out, 1);
  posix_spawn_file_actions_adddup2(&files, err, 2);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  absl::Cleanup free_attributes = [&] { posix_spawnattr_destroy(&attributes); };
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);  // StopOnSignals blocks some
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, words[0], &files, &attributes, words.data(), environ);
  if (failed != 0) return absl::ErrnoToStatus(failed, absl::StrCat("cannot start ", argv[0]));
  return pid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LineProcess>> LineProcess::Start(
    const std::vector<std::string>& argv, uint64_t memory_bytes) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  absl::Cleanup close_all = [&] {
    for (int fd : {in[0], in[1], out[0], out[1], err[0], err[1]}) {
      if (fd >= 0) ::close(fd);
    }
  };
  for (int* fds : {in, out, err}) RETURN_IF_ERROR(MakePipe(fds));
  absl::StatusOr<pid_t> pid = Spawn(argv, in[0], out[1], err[1]);
  if (!pid.ok()) return pid.status();
  if (memory_bytes > 0) {
    // After the start, since posix_spawn sets no limits; what it has by then is far below one.
    const rlimit limit = {memory_bytes, memory_bytes};
    ::prlimit(*pid, RLIMIT_DATA, &limit, nullptr);
  }
  for (int fd : {in[1], out[0], err[0]}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  auto process = absl::WrapUnique(new LineProcess(*pid, in[1], in[0], out[0], err[0]));
  in[0] = in[1] = out[0] = err[0] = -1;
  return process;
}

LineProcess::~LineProcess() {
  if (!reaped_) {
    Kill();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  for (int fd : {in_, in_reader_, out_}) ::close(fd);
  if (err_ >= 0) ::close(err_);
}

void LineProcess::Kill() const { ::kill(-pid_, SIGKILL); }

bool LineProcess::ReadOutput() {
  char bytes[kReadBytes];
  const ssize_t n = ::read(out_, bytes, sizeof(bytes));
  if (n > 0) output_.append(bytes, n);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool LineProcess::ReadErrors() {
  char bytes[kReadBytes];
  errno = 0;
  const ssize_t n = ::read(err_, bytes, sizeof(bytes));
  if (n > 0) errors_.append(bytes, n);
  if (errors_.size() > kKeptErrorBytes) errors_.erase(0, errors_.size() - kKeptErrorBytes);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

// Waits for its exit before it kills the group: how it ended says more than our signal. The exited
// child is reaped last, so that the number of its group belongs to nobody else meanwhile.
absl::Status LineProcess::Ended() {
  const absl::Time until = absl::Now() + kExitsWithin;
  siginfo_t exited = {};
  while (::waitid(P_PID, pid_, &exited, WEXITED | WNOHANG | WNOWAIT) == 0 && exited.si_pid == 0 &&
         absl::Now() < until) {
    absl::SleepFor(absl::Milliseconds(2));
  }
  Kill();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  while (err_ >= 0 && ReadErrors() && errno != EAGAIN) {
  }
  absl::string_view last = absl::StripAsciiWhitespace(errors_);
  const size_t line = last.rfind('\n');
  if (line != absl::string_view::npos) last.remove_prefix(line + 1);
  return absl::UnavailableError(
      absl::StrCat(exited.si_pid == 0 ? "has closed its standard output" : DescribeExit(status),
                   last.empty() ? "" : absl::StrCat(": ", Printable(last, kShownErrorBytes))));
}

void LineProcess::TakeErrors() {
  if (ReadErrors()) return;
  ::close(err_);
  err_ = -1;
}

absl::Status LineProcess::RunsUntil(absl::Time deadline) {
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::OkStatus();
    pollfd polled[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
    const int64_t wait_ms = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    if (::poll(polled, 2, static_cast<int>(wait_ms)) < 0) continue;
    if (polled[1].revents != 0) TakeErrors();
    if (polled[0].revents != 0 && !ReadOutput()) return Ended();
  }
}

absl::StatusOr<std::string> LineProcess::Exchange(absl::string_view line, absl::Time deadline) {
  const std::string text = absl::StrCat(line, "\n");
  size_t written = 0, searched = 0;
  while (true) {
    if (const size_t end = output_.find('\n', searched); end != std::string::npos) {
      std::string reply = output_.substr(0, end);
      output_.erase(0, end + 1);
      return reply;
    }
    searched = output_.size();
    if (searched > kMaxReplyBytes) {
      return absl::ResourceExhaustedError(absl::StrCat("a line above ", kMaxReplyBytes, " bytes"));
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError("no reply in time");
    pollfd polled[3] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {in_, POLLOUT, 0}};
    if (written == text.size()) polled[2].fd = -1;
    // Rounded up, or the last millisecond would be spent polling.
    const int64_t wait_ms = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    if (::poll(polled, 3, static_cast<int>(std::min<int64_t>(wait_ms, 60000))) < 0) continue;
    if (polled[2].fd >= 0 && polled[2].revents != 0) {
      const ssize_t n = ::write(in_, text.data() + written, text.size() - written);
      if (n > 0) written += n;
      if (n < 0 && errno != EAGAIN && errno != EINTR) return Ended();
    }
    if (polled[1].revents != 0) TakeErrors();
    if (polled[0].revents != 0 && !ReadOutput()) return Ended();
  }
}

}  // namespace reckon
