#include "common/model/files/safetensors_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace reckon {

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      header_(std::move(other.header_)) {}

SafetensorsFile::~SafetensorsFile() {
  if (fd_ >= 0) ::close(fd_);
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a pipe would wait for a writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  SafetensorsFile file(path, fd);
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  }
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(path + ": not a regular file");
  const uint64_t file_bytes = info.st_size;

  // A length that ParseSafetensorsHeader will refuse must not cause an allocation.
  std::string head(std::min<uint64_t>(8, file_bytes), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, head.size(), head.data()));
  uint64_t length = 0;
  std::memcpy(&length, head.data(), head.size());
  if (head.size() == 8 && length <= kMaxSafetensorsHeader && length <= file_bytes - 8) {
    head.resize(8 + length);
    RETURN_IF_ERROR(file.ReadAt(8, length, head.data() + 8));
  }
  absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(head, file_bytes);
  if (!header.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", header.status().message()));
  }
  file.header_ = *std::move(header);
  return file;
}

absl::Status SafetensorsFile::ReadData(uint64_t offset, uint64_t bytes, char* to) const {
  return ReadAt(header_.data_begin + offset, bytes, to);
}

absl::Status SafetensorsFile::ReadAt(uint64_t offset, uint64_t bytes, char* to) const {
  while (bytes > 0) {
    const ssize_t n = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    if (n == 0) {
      return absl::DataLossError(
          absl::StrCat(path_,
                       ": became shorter while it was read; write new weights to another "
                       "file and rename it"));
    }
    offset += n;
    bytes -= n;
    to += n;
  }
  return absl::OkStatus();
}

}  // namespace reckon
