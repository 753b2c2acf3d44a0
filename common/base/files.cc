#include "common/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

absl::Status Error(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

constexpr char kTemporary[] = ".tmp.";

// Whether TemporaryPath of some process gives names like this.
bool IsTemporary(absl::string_view name) {
  const size_t at = name.rfind(kTemporary);
  if (at == absl::string_view::npos) return false;
  const absl::string_view process = name.substr(at + sizeof(kTemporary) - 1);
  return !process.empty() && absl::c_all_of(process, absl::ascii_isdigit);
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  int fd = ::open(path.c_str(),
                  O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // do not wait for the writer of a pipe
  if (fd < 0) return Error("cannot open", path);
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  struct stat info;
  if (::fstat(fd, &info) != 0) return Error("cannot stat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", info.st_size, " bytes, more than the limit of ", max_bytes));
  }
  std::string content(info.st_size, '\0');
  size_t done = 0;
  while (done < content.size()) {
    ssize_t n = ::read(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error("cannot read", path);
    // The file shrank since fstat; what is there is returned.
    if (n == 0) break;
    done += n;
  }
  content.resize(done);
  return content;
}

std::string TemporaryPath(const std::string& path) {
  // With the process id, so that two processes do not write one temporary file.
  return absl::StrCat(path, kTemporary, ::getpid());
}

void DeleteTemporaries(const std::string& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> left;
  for (auto entry = std::filesystem::recursive_directory_iterator(folder, error);
       entry != std::filesystem::end(entry); entry.increment(error)) {
    if (!IsTemporary(entry->path().filename().string())) continue;
    left.push_back(entry->path());
    entry.disable_recursion_pending();
  }
  for (const std::filesystem::path& path : left) std::filesystem::remove_all(path, error);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content) {
  const std::string temporary = TemporaryPath(path);
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return Error("cannot create", temporary);
  absl::Cleanup close_fd = [&fd] {
    if (fd >= 0) ::close(fd);
  };
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error("cannot write", temporary);
    content.remove_prefix(n);
  }
  // Before the rename: a file system may make the new name durable before the content, and a crash
  // would leave an empty file in place of the old one.
  if (::fsync(fd) != 0) return Error("cannot sync", temporary);
  int closed = ::close(fd);
  fd = -1;
  if (closed != 0) return Error("cannot close", temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return Error("cannot rename to", path);
  return absl::OkStatus();
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot create folder ", path));
  }
  return absl::OkStatus();
}

}  // namespace reckon
