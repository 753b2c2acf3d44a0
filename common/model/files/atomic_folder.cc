#include "common/model/files/atomic_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

absl::Status SyncPath(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync ", path));
  return absl::OkStatus();
}

absl::Status WriteParts(const std::string& path, const std::vector<absl::Span<const char>>& parts) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  for (absl::Span<const char> part : parts) {
    while (!part.empty()) {
      ssize_t n = ::write(fd, part.data(), part.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
      part.remove_prefix(n);
    }
  }
  if (::fsync(fd) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot sync ", path));
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFolderAtomically(const std::string& folder,
                                   const std::vector<FolderFile>& files) {
  std::error_code error, ignored;
  std::filesystem::path target = std::filesystem::absolute(folder, error).lexically_normal();
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot write ", folder));
  if (!target.has_filename()) target = target.parent_path();  // "a/b/" is "a/b"
  const std::string temporary = TemporaryPath(target.string());
  std::filesystem::remove_all(temporary, ignored);
  RETURN_IF_ERROR(MakeFolders(temporary));
  absl::Cleanup remove_temporary = [&] { std::filesystem::remove_all(temporary, ignored); };

  std::set<std::string> subfolders;
  for (const FolderFile& file : files) {
    const std::filesystem::path path = std::filesystem::path(temporary) / file.name;
    if (path.parent_path() != temporary && subfolders.insert(path.parent_path()).second) {
      RETURN_IF_ERROR(MakeFolders(path.parent_path()));
    }
    RETURN_IF_ERROR(WriteParts(path, file.parts));
  }
  for (const std::string& subfolder : subfolders) RETURN_IF_ERROR(SyncPath(subfolder));
  RETURN_IF_ERROR(SyncPath(temporary));

  // An existing folder is exchanged in one step; the cleanup then deletes it.
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot rename to ", target.string()));
    }
    if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot replace ", target.string()));
    }
  }
  return SyncPath(target.parent_path().string());
}

}  // namespace reckon
