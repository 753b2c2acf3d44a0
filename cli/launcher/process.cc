#include "cli/launcher/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace reckon {
namespace {

constexpr absl::string_view kStartOfLog = "$ ";  // before the command line

// The end of a file.
std::string Tail(const std::string& path) {
  constexpr std::streamoff kTail = 16384;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  std::streamoff size = file.tellg();
  std::streamoff begin = size > kTail ? size - kTail : 0;
  std::string text(size - begin, '\0');
  file.seekg(begin);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

// Pointers to the texts, as exec takes them.
std::vector<char*> ForExec(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// This process's environment with `changes`.
std::vector<std::string> ChangedEnvironment(const std::vector<std::string>& changes) {
  std::vector<std::string> all = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    const absl::string_view name = text.substr(0, text.find('='));
    const bool changed = absl::c_any_of(changes, [&](absl::string_view change) {
      return change.substr(0, change.find('=')) == name;
    });
    if (!changed) all.emplace_back(text);
  }
  return all;
}

// Makes only calls that are async-signal-safe, as it must between fork and exec in a program with
// threads.
[[noreturn]] void RunChild(char* const* argv, char* const* environment, int in, int out,
                           pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent ended before prctl
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);  // StopOnSignals blocks some
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::execve(argv[0], argv, environment);
  const char* why = ::strerror(errno);
  (void)!::write(2, argv[0], ::strlen(argv[0]));
  (void)!::write(2, ": ", 2);
  (void)!::write(2, why, ::strlen(why));
  (void)!::write(2, "\n", 1);
  ::_exit(127);
}

}  // namespace

absl::StatusOr<Process> Process::Start(const Command& command) {
  if (::access(command.argv[0].c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(
        command.argv[0], " does not exist or is not executable; build it with ./dev build"));
  }
  int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (in < 0) return absl::ErrnoToStatus(errno, "cannot open /dev/null");
  absl::Cleanup close_in = [in] { ::close(in); };
  int out = ::open(command.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (out < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", command.log_path));
  absl::Cleanup close_out = [out] { ::close(out); };
  std::vector<std::string> words = command.environment;
  words.insert(words.end(), command.argv.begin(), command.argv.end());
  std::string head = absl::StrCat(kStartOfLog, absl::StrJoin(words, " "), "\n");
  (void)!::write(out, head.data(), head.size());

  const std::vector<std::string> environment = ChangedEnvironment(command.environment);
  const std::vector<char*> argv = ForExec(command.argv), envp = ForExec(environment);
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot start ", command.name));
  if (pid == 0) RunChild(argv.data(), envp.data(), in, out, parent);
  return Process(pid);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), ended_(other.ended_), peak_memory_(other.peak_memory_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  KillAndReap();
  pid_ = std::exchange(other.pid_, -1);
  ended_ = other.ended_;
  peak_memory_ = other.peak_memory_;
  return *this;
}

Process::~Process() { KillAndReap(); }

void Process::KillAndReap() {
  if (pid_ < 0 || ended_) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> Process::Poll() {
  if (ended_ || pid_ < 0) return ended_;
  int status = 0;
  rusage usage;
  if (::wait4(pid_, &status, WNOHANG, &usage) == pid_) {
    ended_ = status;
    peak_memory_ = usage.ru_maxrss * 1024;
  }
  return ended_;
}

std::optional<int> Process::Wait(absl::Duration timeout) {
  absl::Time deadline = absl::Now() + timeout;
  while (!Poll() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
  return ended_;
}

void Process::Signal(int signal) {
  if (pid_ > 0 && !Poll()) ::kill(pid_, signal);
}

std::string LastLines(const std::string& path, int lines) {
  const std::string text = Tail(path);
  std::vector<absl::string_view> all;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, kStartOfLog)) {
      all.clear();
    } else {
      all.push_back(line);
    }
  }
  if (all.size() > static_cast<size_t>(lines)) all.erase(all.begin(), all.end() - lines);
  return absl::StrJoin(all, "\n");
}

std::string LastWords(const std::string& path) {
  const std::string text = Tail(path);
  std::string words;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, kStartOfLog)) words.clear();
    const size_t name = line.find(": ");
    if (name == absl::string_view::npos || !absl::StartsWith(line, "reckon-")) continue;
    words = std::string(line.substr(name + 2));
  }
  return words;
}

std::string ProgramFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

}  // namespace reckon
