#ifndef RECKON_COMMON_NET_SECRET_FILE_H_
#define RECKON_COMMON_NET_SECRET_FILE_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace reckon {

// Reads a file that others must not read: a private key or a token. PERMISSION_DENIED: its mode
// lets others read it. The rule is that of PostgreSQL's server.key:
//   owned by this process's user: nobody else may read or write it                     (0600)
//   owned by root: its group may read it as well                                       (0640)
// The second is what Kubernetes gives to a pod that is not root (a secret with fsGroup is 0440).
absl::StatusOr<std::string> ReadSecretFile(const std::string& path, uint64_t max_bytes);

// The tokens of a file, one a line. A process sends the first and accepts all of them, so that a
// token is replaced without a call that fails: first added everywhere, then moved to the first
// line, then the old one is removed. INVALID_ARGUMENT, which never quotes a token: no token, more
// than `most`, or one that is not 32 to 256 letters, digits and "-_.~+/=".
absl::StatusOr<std::vector<std::string>> ParseTokens(absl::string_view text, size_t most = 4);

// A file that is read again when it has changed. It looks at most once a second, when it is asked.
// A file that has become unreadable, or is not `sound` any more, is kept as it was, with a line in
// the log. Thread-safe.
class WatchedFile {
 public:
  struct Content {
    std::string text;
    uint64_t changes = 0;  // how often the text was replaced since the file was opened
  };
  using Reader = absl::StatusOr<std::string> (*)(const std::string& path);

  // `read` reads the file and checks its content.
  static absl::StatusOr<std::unique_ptr<WatchedFile>> Open(const std::string& path, Reader read);

  Content Get(absl::Time now);

 private:
  // What tells a changed file from an unchanged one without reading it.
  struct Signature {
    uint64_t device = 0, inode = 0;
    int64_t size = 0, seconds = 0, nanoseconds = 0;
    bool operator==(const Signature&) const = default;
  };
  WatchedFile(std::string path, Reader read) : path_(std::move(path)), read_(read) {}
  static Signature SignatureOf(const std::string& path);

  const std::string path_;
  const Reader read_;
  absl::Mutex mu_;
  Content content_ ABSL_GUARDED_BY(mu_);
  Signature signature_ ABSL_GUARDED_BY(mu_);
  absl::Time next_look_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace reckon

#endif  // RECKON_COMMON_NET_SECRET_FILE_H_
