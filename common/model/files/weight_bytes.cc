#include "common/model/files/weight_bytes.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace reckon {
namespace {

absl::Status NoMemory(uint64_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of weights"));
}

// What the kernel says that a descriptor of another process is: "/memfd:<name> (deleted)".
std::string FileBehind(const std::string& path) {
  char target[512];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
  return size < 0 ? "" : std::string(target, static_cast<size_t>(size));
}

// Unique on this host, so that a process id or descriptor that is used again names nothing else.
std::string NewName() {
  std::random_device random;
  return absl::StrFormat("reckon-weights-%08x%08x%08x", random(), random(), random());
}

}  // namespace

absl::StatusOr<std::shared_ptr<WeightBytes>> WeightBytes::OfSize(uint64_t bytes) {
  void* begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return NoMemory(bytes);
  return std::shared_ptr<WeightBytes>(new WeightBytes(static_cast<char*>(begin), bytes, -1));
}

absl::StatusOr<std::shared_ptr<WeightBytes>> WeightBytes::Shared(uint64_t bytes) {
  const std::string name = NewName();
  const size_t size = FillPlace(bytes) + sizeof(uint64_t);
  const int file = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return OfSize(bytes);
  void* begin = MAP_FAILED;
  if (::ftruncate(file, static_cast<off_t>(size)) == 0 &&
      ::fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
      ::flock(file, LOCK_EX | LOCK_NB) == 0) {
    begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (begin == MAP_FAILED) {
    ::close(file);
    return NoMemory(bytes);
  }
  std::shared_ptr<WeightBytes> out(new WeightBytes(static_cast<char*>(begin), bytes, file));
  out->where_.set_path(absl::StrCat("/proc/", ::getpid(), "/fd/", file));
  out->where_.set_name(name);
  return out;
}

absl::StatusOr<std::shared_ptr<WeightBytes>> WeightBytes::Map(const HostMemory& where,
                                                              uint64_t bytes) {
  const absl::Status not_here = absl::NotFoundError("the memory of the source is not on this host");
  // Before it is opened: on another host the path may name anything.
  if (where.name().empty() ||
      FileBehind(where.path()) != absl::StrCat("/memfd:", where.name(), " (deleted)")) {
    return not_here;
  }
  const int file = ::open(where.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return not_here;
  struct stat found;
  const int seals = ::fcntl(file, F_GET_SEALS);
  absl::Status status;
  const size_t size = FillPlace(bytes) + sizeof(uint64_t);
  if (::fstat(file, &found) != 0 || static_cast<uint64_t>(found.st_size) != size || seals < 0 ||
      (seals & F_SEAL_SHRINK) == 0) {
    status = not_here;
  } else if (::flock(file, LOCK_SH | LOCK_NB) != 0) {
    status = absl::UnavailableError("the memory of the source is being filled");
  }
  void* begin = MAP_FAILED;
  if (status.ok()) begin = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (begin == MAP_FAILED) {
    ::close(file);
    return status.ok() ? NoMemory(bytes) : status;
  }
  std::shared_ptr<WeightBytes> out(new WeightBytes(static_cast<char*>(begin), bytes, file));
  if (out->fill() != where.fill()) {
    return absl::NotFoundError("the memory of the source was filled with another version since");
  }
  return out;
}

bool WeightBytes::BeginFill() {
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) return false;
  where_.set_fill(++fill());
  return true;
}
void WeightBytes::EndFill() { ::flock(file_, LOCK_UN); }

WeightBytes::~WeightBytes() {
  ::munmap(begin_, file_ < 0 ? size_ : FillPlace(size_) + sizeof(uint64_t));
  if (file_ >= 0) ::close(file_);
}

}  // namespace reckon
