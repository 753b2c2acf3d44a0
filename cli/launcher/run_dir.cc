#include "cli/launcher/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/fields.h"

namespace reckon {
namespace {

// Removes what may change when a run is resumed: where and how fast it is computed.
RunConfig WithoutPlacement(RunConfig config) {
  config.clear_actor();
  config.clear_learner();
  config.clear_coordinator();
  config.clear_keep_last();
  config.clear_output_dir();
  return config;
}

// The first line in which two texts differ, for humans.
std::string FirstDifference(const std::string& before, const std::string& after) {
  std::vector<absl::string_view> a = absl::StrSplit(before, '\n'), b = absl::StrSplit(after, '\n');
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    absl::string_view left = i < a.size() ? a[i] : "", right = i < b.size() ? b[i] : "";
    if (left != right) {
      return absl::StrCat("'", absl::StripLeadingAsciiWhitespace(left), "' is now '",
                          absl::StripLeadingAsciiWhitespace(right), "'");
    }
  }
  return "";
}

}  // namespace

std::string AbsolutePath(const std::string& path) {
  if (path.empty() || path == "builtin") return path;
  const char* home = std::getenv("HOME");
  std::string expanded = path;
  if (home != nullptr && absl::StartsWith(path, "~/")) expanded = home + path.substr(1);
  std::string out = std::filesystem::absolute(expanded).lexically_normal().string();
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
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

absl::StatusOr<std::unique_ptr<RunDir>> RunDir::Open(const RunConfig& config, bool resume) {
  std::string path = absl::StrCat(config.output_dir(), "/", config.name());
  std::string config_path = path + "/config.textproto";
  const bool exists = std::filesystem::exists(config_path);
  if (exists && !resume) {
    return absl::AlreadyExistsError(
        absl::StrCat("run directory ", path, " exists; add --resume to continue it, give the ",
                     "run another name (--set name=...), or delete it"));
  }
  for (const char* folder : {"/logs", "/store"}) {
    RETURN_IF_ERROR(MakeFolders(path + folder));
  }
  int lock = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path, "/lock"));
  auto run_dir = absl::WrapUnique(new RunDir(path, lock, exists));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) return LockError(errno, path);
  if (exists) {
    absl::StatusOr<RunConfig> before = LoadConfig(config_path, {});
    if (!before.ok()) return before.status();
    std::string change = FirstDifference(FormatConfig(WithoutPlacement(*before)),
                                         FormatConfig(WithoutPlacement(config)));
    if (!change.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the config differs from that of the run in ", path, ": ", change,
          "; resume with the same config, or start a run with another name (--set name=...)"));
    }
  }
  RETURN_IF_ERROR(WriteFileAtomically(config_path, FormatConfig(config)));
  return run_dir;
}

RunDir::~RunDir() { ::close(lock_); }

}  // namespace reckon
