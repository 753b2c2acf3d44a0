#include "learner/checkpoint/array_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "learner/report/learner_metrics.h"

namespace reckon {
namespace {

constexpr size_t kBlock = 1 << 20;  // bytes; each is hashed while it is in the CPU's cache

class Sha256Stream {
 public:
  Sha256Stream() : context_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(context_, EVP_sha256(), nullptr);
  }
  ~Sha256Stream() { EVP_MD_CTX_free(context_); }
  void Add(const char* data, size_t bytes) { EVP_DigestUpdate(context_, data, bytes); }
  std::string Finish() {
    std::string digest(32, '\0');
    EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest;
  }

 private:
  EVP_MD_CTX* const context_;
};

absl::Status Failed(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

}  // namespace

absl::StatusOr<ArrayFileInfo> WriteArrayFile(const std::string& path,
                                             absl::Span<const float> array) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("create", path);
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  ArrayFileInfo info;
  Sha256Stream hash;
  const char* data = reinterpret_cast<const char*>(array.data());
  size_t left = array.size() * sizeof(float);
  info.bytes = left;
  while (left > 0) {
    ssize_t n = ::write(fd, data, std::min(left, kBlock));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("write", path);
    hash.Add(data, n);
    data += n;
    left -= n;
  }
  // The folder is renamed into place after this: a name that is durable before the content would be
  // a checkpoint of zeros after a power cut.
  if (::fsync(fd) != 0) return Failed("sync", path);
  info.sha256 = hash.Finish();
  return info;
}

absl::Status CheckArrayFile(const std::string& path, const ArrayFileInfo& info) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  // A file that the manifest lists and that is missing is damage: OpenNewestCheckpoint then tries
  // an older checkpoint.
  if (fd < 0) return absl::DataLossError(Failed("open", path).message());
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  Sha256Stream hash;
  std::vector<char> block(kBlock);
  uint64_t bytes = 0;
  while (true) {
    LearnerMetrics::Process().activity.Tick();
    ssize_t n = ::read(fd, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("read", path);
    if (n == 0) break;
    hash.Add(block.data(), n);
    bytes += n;
  }
  if (bytes < info.bytes) return absl::DataLossError(absl::StrCat(path, " is cut short"));
  if (bytes == info.bytes && hash.Finish() == info.sha256) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, " is damaged"));
}

absl::Status ReadArrayFile(const std::string& path, int64_t begin, absl::Span<float> to) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::DataLossError(Failed("open", path).message());
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  char* data = reinterpret_cast<char*>(to.data());
  size_t left = to.size() * sizeof(float);
  off_t at = begin * static_cast<off_t>(sizeof(float));
  while (left > 0) {
    LearnerMetrics::Process().activity.Tick();
    ssize_t n = ::pread(fd, data, left, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("read", path);
    if (n == 0) return absl::DataLossError(absl::StrCat(path, " is cut short"));
    data += n;
    at += n;
    left -= n;
  }
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("open", folder);
  absl::Cleanup close_fd = [fd] { ::close(fd); };
  if (::fsync(fd) != 0) return Failed("sync", folder);
  return absl::OkStatus();
}

}  // namespace reckon
