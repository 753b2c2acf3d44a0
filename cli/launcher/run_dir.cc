#include "cli/launcher/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/fields.h"
#include "common/config/resume_rules.h"
#include "common/config/run_folder.h"
#include "common/model/files/manifest.h"
#include "common/task/dataset/data_files.h"
#include "common/text/message_json.h"
#include "proto/checkpoint.pb.h"

namespace reckon {
namespace {

// Compares the data files of a run with what they were when it began, so that a change is refused
// before a process starts. The learner compares the models as well (learner/run/inputs.h).
absl::Status CheckDataFiles(const std::string& run_dir) {
  const absl::StatusOr<std::string> text = ReadFile(run_dir + "/inputs.json");
  RunInputs inputs;
  if (!text.ok() || !MessageFromJson(*text, &inputs).ok()) return absl::OkStatus();
  for (const RunInputs::File& file : inputs.files()) {
    if (!absl::StartsWith(file.name(), "data.")) continue;
    const absl::StatusOr<std::string> digest = DataDigest(file.path(), Sha256);
    if (!digest.ok()) {
      return absl::Status(digest.status().code(),
                          absl::StrCat(file.name(), ": ", digest.status().message()));
    }
    const std::string now = absl::BytesToHexString(*digest);
    if (now == file.sha256()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(file.name(), ": ", file.path(), " has changed since the run began (SHA-256 ",
                     file.sha256().substr(0, 12), " then, ", now.substr(0, 12),
                     " now); restore it, or start a run with another name (--set name=...)"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string AbsolutePath(const std::string& path) {
  if (path.empty() || path == "builtin") return path;
  const char* home = std::getenv("HOME");
  std::string expanded = path;
  if (home != nullptr && absl::StartsWith(path, "~/")) expanded = home + path.substr(1);
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(expanded, error);
  if (error) absolute = expanded;  // the working directory is gone: who opens it says so
  std::string out = absolute.lexically_normal().string();
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

absl::StatusOr<std::string> MakeTemporaryFolder() {
  const char* base = std::getenv("TMPDIR");
  std::string path =
      absl::StrCat(base != nullptr && *base != '\0' ? base : "/tmp", "/reckon.XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot create the folder ", path));
  }
  return path;
}

void MakePathsAbsolute(RunConfig* config) {
  EditTexts(config, [](Text::Kind kind, const std::string& value) {
    const bool path = kind == Text::PATH || (kind == Text::REWARD_MODEL && IsFolder(value));
    return path ? AbsolutePath(value) : value;
  });
}

absl::Status LockError(int error, const std::string& path) {
  switch (error) {
    case EWOULDBLOCK:
      return absl::FailedPreconditionError(absl::StrCat(
          "run directory ", path, " is in use by another `reckon train`; stop that one first"));
    case ENOSYS:
    case ENOLCK:
    case EOPNOTSUPP:
    case EINVAL:
      return absl::UnimplementedError(
          absl::StrCat("run directory ", path, ": its file system does not support locks (flock: ",
                       std::strerror(error), "); set output_dir to a folder on a local disk"));
    default:
      return absl::ErrnoToStatus(error, absl::StrCat("cannot lock run directory ", path));
  }
}

absl::StatusOr<int> LockRun(const std::string& path) {
  const int lock = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path, "/lock"));
  if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return lock;
  const int error = errno;
  ::close(lock);
  return LockError(error, path);
}

absl::StatusOr<std::unique_ptr<RunDir>> RunDir::Open(const RunConfig& config, bool resume) {
  std::string path = absl::StrCat(config.output_dir(), "/", config.name());
  std::string config_path = path + "/config.textproto";
  ASSIGN_OR_RETURN(const bool exists, PathExists(config_path));
  if (exists && !resume) {
    return absl::AlreadyExistsError(
        absl::StrCat("run directory ", path, " exists; add --resume to continue it, give the ",
                     "run another name (--set name=...), or delete it"));
  }
  for (const char* folder : {"/logs", "/store"}) {
    RETURN_IF_ERROR(MakeFolders(path + folder));
  }
  ASSIGN_OR_RETURN(const int lock, LockRun(path));
  auto run_dir = absl::WrapUnique(new RunDir(path, lock, exists));
  ASSIGN_OR_RETURN(const std::optional<RunConfig> before, ConfigBefore(path, config));
  if (before.has_value()) {
    RETURN_IF_ERROR(CheckDataFiles(path));
    run_dir->has_more_ = HasMoreToDo(*before, config);
  }
  RETURN_IF_ERROR(WriteFileAtomically(config_path, FormatConfig(config)));
  return run_dir;
}

absl::StatusOr<std::string> RunDir::NextLogs() const {
  const std::string logs = path_ + "/logs";
  std::error_code error;
  int attempt = 1;
  while (std::filesystem::exists(absl::StrCat(logs, "/attempt_", attempt), error)) ++attempt;
  const std::string name = absl::StrCat("attempt_", attempt);
  RETURN_IF_ERROR(MakeFolders(logs + "/" + name));
  std::filesystem::remove(logs + "/latest", error);
  std::filesystem::create_directory_symlink(name, logs + "/latest", error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot make ", logs, "/latest: ", error.message()));
  }
  return logs + "/" + name;
}

RunDir::~RunDir() { ::close(lock_); }

}  // namespace reckon
