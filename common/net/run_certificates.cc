#include "common/net/run_certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/status_macros.h"
#include "common/net/certificates.h"
#include "common/net/secret_file.h"

namespace reckon {
namespace {

constexpr size_t kMaxTokenFileBytes = 4096;
constexpr int kMaxDays = 3650;

// What a role's folder has. Of all roles, only certificate and key differ.
struct RoleFiles {
  std::string authorities;  // ca.crt: one certificate, or two during a rotation
  std::string tokens;       // one a line
  CertifiedKey own;
};
// authority/: that which signs, and during a rotation the one that will.
struct AuthorityFiles {
  CertifiedKey current;
  CertifiedKey next;  // empty: no rotation was begun
};

absl::Status MakePrivateFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  if (chmod(path.c_str(), 0700) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot protect ", path));
  }
  return absl::OkStatus();
}

// Creates the file with its final mode, so that no other process can open it before.
absl::Status WriteNewFile(const std::string& path, absl::string_view content, mode_t mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  const absl::Cleanup close_file = [file] { close(file); };
  while (!content.empty()) {
    const ssize_t written = write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
    content.remove_prefix(written);
  }
  if (fsync(file) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

struct NewFile {
  std::string name, content;
  mode_t mode;
};

// Makes the folder, or exchanges an existing one for a new one in one step.
absl::Status ReplaceFolder(const std::string& path, const std::vector<NewFile>& files) {
  const std::string fresh = path + ".new";
  std::error_code error;
  std::filesystem::remove_all(fresh, error);
  RETURN_IF_ERROR(MakePrivateFolder(fresh));
  for (const NewFile& file : files) {
    RETURN_IF_ERROR(WriteNewFile(absl::StrCat(fresh, "/", file.name), file.content, file.mode));
  }
  if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    std::filesystem::remove_all(fresh, error);
    return absl::OkStatus();
  }
  if (errno == ENOENT && rename(fresh.c_str(), path.c_str()) == 0) return absl::OkStatus();
  // A file system that cannot exchange: file by file. A process that reads a key without its
  // certificate meanwhile keeps its connections and reads again a second later.
  RETURN_IF_ERROR(MakePrivateFolder(path));
  for (const NewFile& file : files) {
    const std::string from = absl::StrCat(fresh, "/", file.name);
    if (rename(from.c_str(), absl::StrCat(path, "/", file.name).c_str()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot replace ", path, "/", file.name));
    }
  }
  std::filesystem::remove_all(fresh, error);
  return absl::OkStatus();
}

absl::Status WriteRole(const CertificateOptions& options, Role role, const RoleFiles& files) {
  return ReplaceFolder(CertificatesOf(options.folder, role),
                       {{"ca.crt", files.authorities, 0644},
                        {"tls.crt", files.own.certificate, 0644},
                        {"tls.key", files.own.key, 0600},
                        {"token", files.tokens, 0600}});
}

absl::StatusOr<RoleFiles> ReadRole(const CertificateOptions& options, Role role) {
  const std::string folder = CertificatesOf(options.folder, role);
  RoleFiles files;
  ASSIGN_OR_RETURN(files.authorities, ReadFile(folder + "/ca.crt", kMaxPemBytes));
  ASSIGN_OR_RETURN(files.tokens, ReadSecretFile(folder + "/token", kMaxTokenFileBytes));
  ASSIGN_OR_RETURN(files.own.certificate, ReadFile(folder + "/tls.crt", kMaxPemBytes));
  ASSIGN_OR_RETURN(files.own.key, ReadSecretFile(folder + "/tls.key", kMaxPemBytes));
  return files;
}

std::string AuthorityFolder(const CertificateOptions& options) {
  return options.folder + "/authority";
}

absl::Status WriteAuthority(const CertificateOptions& options, const AuthorityFiles& files) {
  std::vector<NewFile> written = {{"ca.crt", files.current.certificate, 0644}};
  if (options.keep_authority_key) written.push_back({"ca.key", files.current.key, 0600});
  if (!files.next.key.empty()) {
    written.push_back({"next.crt", files.next.certificate, 0644});
    written.push_back({"next.key", files.next.key, 0600});
  }
  return ReplaceFolder(AuthorityFolder(options), written);
}

absl::StatusOr<AuthorityFiles> ReadAuthority(const CertificateOptions& options) {
  const std::string folder = AuthorityFolder(options);
  AuthorityFiles files;
  ASSIGN_OR_RETURN(files.current.certificate, ReadFile(folder + "/ca.crt", kMaxPemBytes));
  ASSIGN_OR_RETURN(files.current.key, ReadSecretFile(folder + "/ca.key", kMaxPemBytes));
  absl::StatusOr<std::string> next = ReadFile(folder + "/next.crt", kMaxPemBytes);
  if (next.ok()) {
    files.next.certificate = *std::move(next);
    ASSIGN_OR_RETURN(files.next.key, ReadSecretFile(folder + "/next.key", kMaxPemBytes));
  }
  return files;
}

absl::Status CheckOptions(const CertificateOptions& options) {
  if (options.days < 1 || options.days > kMaxDays) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificates for ", options.days, " days; allowed: 1 to ", kMaxDays));
  }
  return IdentityUri(options.run, Role::kUser).status();
}

absl::StatusOr<CertifiedKey> NewAuthority(const CertificateOptions& options) {
  return MakeAuthority(absl::StrCat("reckon run ", options.run), ValidForDays(options.days));
}

// A certificate for the role. It ends with its authority, which would not vouch for it any longer.
absl::StatusOr<CertifiedKey> NewCertificate(const CertificateOptions& options,
                                            const CertifiedKey& authority, Role role) {
  ASSIGN_OR_RETURN(const std::string uri, IdentityUri(options.run, role));
  ASSIGN_OR_RETURN(const Validity bound, CertificateValidity(authority.certificate));
  Validity validity = ValidForDays(options.days);
  validity.end = std::min(validity.end, bound.end);
  return MakeCertificate(authority, uri, validity);
}

// That the certificates in the folder are those of the run which is named.
absl::Status CheckRun(const CertificateOptions& options, const RoleFiles& files, Role role) {
  ASSIGN_OR_RETURN(const std::string expected, IdentityUri(options.run, role));
  ASSIGN_OR_RETURN(const std::string uri, CertificateUri(files.own.certificate));
  if (uri == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(options.folder, " has the certificates of ", uri,
                                                 ", not of run '", options.run, "'"));
}

}  // namespace

std::string CertificatesOf(absl::string_view folder, Role role) {
  return absl::StrCat(folder, "/", RoleName(role));
}

absl::Status WriteCertificates(const CertificateOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(MakeFolders(options.folder));
  RETURN_IF_ERROR(MakePrivateFolder(options.folder));
  AuthorityFiles authority;
  std::string authorities, tokens;
  ASSIGN_OR_RETURN(const bool exists,
                   PathExists(CertificatesOf(options.folder, Role::kCoordinator)));
  if (exists) {
    absl::StatusOr<AuthorityFiles> found = ReadAuthority(options);
    if (absl::IsNotFound(found.status())) {
      return absl::FailedPreconditionError(
          absl::StrCat(options.folder, " has certificates, but no authority/ca.key to make others ",
                       "with; choose another folder, or delete this one"));
    }
    RETURN_IF_ERROR(found.status());
    authority = *std::move(found);
    ASSIGN_OR_RETURN(const RoleFiles old, ReadRole(options, Role::kCoordinator));
    RETURN_IF_ERROR(CheckRun(options, old, Role::kCoordinator));
    authorities = old.authorities;
    tokens = old.tokens;
  } else {
    ASSIGN_OR_RETURN(authority.current, NewAuthority(options));
    ASSIGN_OR_RETURN(const std::string token, MakeToken());
    authorities = authority.current.certificate;
    tokens = token + "\n";
  }
  for (const Role role : kAllRoles) {
    ASSIGN_OR_RETURN(const CertifiedKey own, NewCertificate(options, authority.current, role));
    RETURN_IF_ERROR(WriteRole(options, role, {authorities, tokens, own}));
  }
  return WriteAuthority(options, authority);
}

absl::Status RotateCertificates(const CertificateOptions& options, RotationStep step) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(AuthorityFiles authority, ReadAuthority(options));
  ASSIGN_OR_RETURN(const RoleFiles first, ReadRole(options, Role::kCoordinator));
  RETURN_IF_ERROR(CheckRun(options, first, Role::kCoordinator));
  ASSIGN_OR_RETURN(std::vector<std::string> tokens, ParseTokens(first.tokens));
  const bool begun = !authority.next.key.empty();
  const bool used = !begun && tokens.size() == 2;
  if (step == RotationStep::kTrust ? begun || used : step == RotationStep::kUse ? !begun : !used) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.folder, ": this is not the next step of its rotation; the next is ",
                     begun  ? "use"
                     : used ? "forget"
                            : "trust"));
  }
  std::string authorities = first.authorities;
  switch (step) {
    case RotationStep::kTrust: {
      ASSIGN_OR_RETURN(authority.next, NewAuthority(options));
      ASSIGN_OR_RETURN(const std::string token, MakeToken());
      authorities += authority.next.certificate;
      tokens.push_back(token);
      break;
    }
    case RotationStep::kUse:
      authority.current = std::exchange(authority.next, {});
      std::swap(tokens[0], tokens[1]);
      break;
    case RotationStep::kForget:
      authorities = authority.current.certificate;
      tokens.pop_back();
      break;
  }
  for (const Role role : kAllRoles) {
    ASSIGN_OR_RETURN(RoleFiles files, ReadRole(options, role));
    files.authorities = authorities;
    files.tokens = absl::StrJoin(tokens, "\n") + "\n";
    if (step == RotationStep::kUse) {
      ASSIGN_OR_RETURN(files.own, NewCertificate(options, authority.current, role));
    }
    RETURN_IF_ERROR(WriteRole(options, role, files));
  }
  return WriteAuthority(options, authority);
}

absl::StatusOr<std::string> EnsureRunCertificates(const std::string& run_dir,
                                                  absl::string_view run) {
  CertificateOptions options;
  options.run = std::string(run);
  options.folder = run_dir + "/certificates";
  options.keep_authority_key = false;
  bool usable = true;
  for (const Role role : kAllRoles) {
    const absl::StatusOr<RoleFiles> files = ReadRole(options, role);
    if (!files.ok() || !CheckRun(options, *files, role).ok()) {
      usable = false;
      break;
    }
    const absl::StatusOr<Validity> validity = CertificateValidity(files->own.certificate);
    const absl::Time now = absl::Now();
    usable = usable && validity.ok() &&
             validity->end - now > (validity->end - validity->begin) * 2 / 3 &&
             CheckCertifiedKey(files->own, files->authorities, now).ok();
  }
  if (!usable) {
    std::error_code error;
    std::filesystem::remove_all(options.folder, error);
    RETURN_IF_ERROR(WriteCertificates(options));
  }
  return options.folder;
}

}  // namespace reckon
