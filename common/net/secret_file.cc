#include "common/net/secret_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(1);
constexpr size_t kMinTokenBytes = 32, kMaxTokenBytes = 256;

bool IsTokenCharacter(char c) {
  return absl::ascii_isalnum(c) || absl::string_view("-_.~+/=").find(c) != absl::string_view::npos;
}

}  // namespace

absl::StatusOr<std::string> ReadSecretFile(const std::string& path, uint64_t max_bytes) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  const bool own = info.st_uid == geteuid();
  if (!own && info.st_uid != 0) {
    return absl::PermissionDeniedError(absl::StrCat(path, " is owned by user ", info.st_uid,
                                                    "; it must be owned by user ", geteuid(),
                                                    ", who reads it, or by root"));
  }
  const mode_t refused = own ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO;
  if ((info.st_mode & refused) != 0) {
    return absl::PermissionDeniedError(
        absl::StrFormat("%s has mode %04o and so is open to others; run: chmod %s %s", path,
                        info.st_mode & 07777, own ? "0600" : "0640", path));
  }
  return ReadFile(path, max_bytes);
}

absl::StatusOr<std::vector<std::string>> ParseTokens(absl::string_view text, size_t most) {
  std::vector<std::string> tokens;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    if (line.size() < kMinTokenBytes || line.size() > kMaxTokenBytes ||
        !std::all_of(line.begin(), line.end(), IsTokenCharacter)) {
      return absl::InvalidArgumentError(absl::StrCat("token ", tokens.size() + 1, " is not ",
                                                     kMinTokenBytes, " to ", kMaxTokenBytes,
                                                     " letters, digits and characters of -_.~+/="));
    }
    tokens.emplace_back(line);
  }
  if (tokens.empty() || tokens.size() > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", tokens.size(), " tokens, not 1 to ", most));
  }
  return tokens;
}

absl::StatusOr<std::unique_ptr<WatchedFile>> WatchedFile::Open(const std::string& path,
                                                               Reader read) {
  std::unique_ptr<WatchedFile> file(new WatchedFile(path, read));
  absl::MutexLock lock(&file->mu_);
  // Before it is read: a change between the two is noticed by the next look.
  file->signature_ = SignatureOf(path);
  ASSIGN_OR_RETURN(file->content_.text, read(path));
  return file;
}

WatchedFile::Content WatchedFile::Get(absl::Time now) {
  absl::MutexLock lock(&mu_);
  if (now < next_look_) return content_;
  next_look_ = now + kLookInterval;
  const Signature signature = SignatureOf(path_);
  if (signature == signature_) return content_;
  absl::StatusOr<std::string> text = read_(path_);
  if (!text.ok()) {
    LOG(WARNING) << "keeping what was read before: " << text.status().message();
    return content_;
  }
  signature_ = signature;
  if (*text != content_.text) {
    content_.text = *std::move(text);
    ++content_.changes;
    LOG(INFO) << path_ << " has changed and was read again";
  }
  return content_;
}

WatchedFile::Signature WatchedFile::SignatureOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

}  // namespace reckon
