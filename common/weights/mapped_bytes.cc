#include "common/weights/mapped_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace reckon {

absl::StatusOr<std::shared_ptr<MappedBytes>> MappedBytes::OfFile(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  struct stat info;
  if (::fstat(fd, &info) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(path + ": not a regular file");
  if (info.st_size == 0) return absl::InvalidArgumentError(path + ": the file is empty");
  void* begin = ::mmap(nullptr, info.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (begin == MAP_FAILED) return absl::ErrnoToStatus(errno, absl::StrCat("cannot map ", path));
  return std::make_shared<MappedBytes>(static_cast<char*>(begin), info.st_size);
}

absl::StatusOr<std::shared_ptr<MappedBytes>> MappedBytes::OfSize(uint64_t bytes) {
  void* begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of weights"));
  }
  return std::make_shared<MappedBytes>(static_cast<char*>(begin), bytes);
}

MappedBytes::~MappedBytes() { ::munmap(begin_, size_); }

}  // namespace reckon
