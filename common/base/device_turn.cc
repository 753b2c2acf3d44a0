#include "common/base/device_turn.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Until a wait is worth a word.
constexpr absl::Duration kLongWait = absl::Seconds(1);
constexpr size_t kMostLeft = 4096;

absl::StatusOr<int> OpenLockFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  return file;
}

// Whether the file system has locks. Who wants this one at that moment does not get it.
absl::Status CheckLocks(int file, const std::string& path) {
  if (::flock(file, LOCK_SH | LOCK_NB) == 0) {
    ::flock(file, LOCK_UN);
    return absl::OkStatus();
  }
  if (errno == EWOULDBLOCK) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("cannot lock ", path, " (flock: ", std::strerror(errno),
                   "); set output_dir to a folder on a local disk, or resources.turns to OFF"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceTurn>> DeviceTurn::Open(const std::string& path) {
  std::vector<int> files;
  absl::Status status;
  for (const char* suffix : {"", ".next", ".left"}) {
    const absl::StatusOr<int> file = OpenLockFile(path + suffix);
    status = file.status();
    if (!file.ok()) break;
    files.push_back(*file);
  }
  // One of them tells for all: that which is locked again and again until it is got.
  if (status.ok()) status = CheckLocks(files[0], path);
  if (status.ok()) return absl::WrapUnique(new DeviceTurn(files[0], files[1], files[2]));
  for (int file : files) ::close(file);
  return status;
}

DeviceTurn::~DeviceTurn() {
  for (int file : {turn_, next_, left_}) ::close(file);
}

bool DeviceTurn::TryTake() {
  CHECK(state_ != State::kHeld) << "it has the turn already";
  if (state_ == State::kWithout) {
    if (::flock(next_, LOCK_EX | LOCK_NB) != 0) return false;
    state_ = State::kInLine;
  }
  if (::flock(turn_, LOCK_EX | LOCK_NB) != 0) return false;
  // After the turn is taken, or another process could take it without having been in line.
  ::flock(next_, LOCK_UN);
  state_ = State::kHeld;
  return true;
}

absl::Status DeviceTurn::Take(const std::stop_token& stop, absl::FunctionRef<void()> waits) {
  const absl::Time begin = absl::Now();
  bool told = false;
  while (!TryTake()) {
    if (!told && absl::Now() - begin > kLongWait) {
      waits();
      told = true;
    }
    if (WaitForStop(stop, kPoll)) {
      Release();
      return absl::CancelledError("stopped");
    }
  }
  return absl::OkStatus();
}

void DeviceTurn::Release() {
  if (state_ == State::kHeld) ::flock(turn_, LOCK_UN);
  if (state_ == State::kInLine) ::flock(next_, LOCK_UN);
  state_ = State::kWithout;
}

std::string DeviceTurn::left() const {
  if (!leaver_lives()) return "";
  char text[kMostLeft];
  const ssize_t size = ::pread(turn_, text, sizeof(text), 0);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

bool DeviceTurn::leaver_lives() const {
  CHECK(held());
  if (::flock(left_, LOCK_SH | LOCK_NB) != 0) return true;
  ::flock(left_, LOCK_UN);
  return false;
}

absl::Status DeviceTurn::Leave(const std::string& text) {
  CHECK(held());
  CHECK_LE(text.size(), kMostLeft);
  ::flock(left_, LOCK_UN);
  if (text.empty()) return absl::OkStatus();
  if (::flock(left_, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError("another process has left a text with the turn");
  }
  if (::ftruncate(turn_, 0) == 0 &&
      ::pwrite(turn_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, "cannot write the file of turns");
}

bool DeviceTurn::wanted() const {
  if (state_ == State::kInLine) return false;
  // One that takes its place in line at this moment fails, and tries again.
  if (::flock(next_, LOCK_SH | LOCK_NB) != 0) return true;
  ::flock(next_, LOCK_UN);
  return false;
}

}  // namespace reckon
