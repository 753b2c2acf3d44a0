#ifndef RECKON_CLI_LAUNCHER_RUN_DIR_H_
#define RECKON_CLI_LAUNCHER_RUN_DIR_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/config.pb.h"

namespace reckon {

// An absolute path; "~/x" is in the home folder. "builtin" and "" are returned as they are.
std::string AbsolutePath(const std::string& path);
// A new folder in $TMPDIR or /tmp, for the caller to delete.
absl::StatusOr<std::string> MakeTemporaryFolder();
// Makes the paths of a config absolute (text options PATH and REWARD_MODEL), so that a run can be
// resumed from any working directory.
void MakePathsAbsolute(RunConfig* config);

// The error of a flock that failed with `error`, an errno. FAILED_PRECONDITION: another process
// holds the lock (EWOULDBLOCK). UNIMPLEMENTED: the file system of `path` has no locks, as some
// network file systems and FUSE mounts. Else that of the errno.
absl::Status LockError(int error, const std::string& path);

// Takes the lock of a run's directory, without waiting. A file to close, which releases it; or
// LockError.
absl::StatusOr<int> LockRun(const std::string& path);

// The directory of a run:
//
//   <output_dir>/<name>/config.textproto   resolved, with all defaults
//                       lock               held by the `reckon train` that uses the directory
//                       store/             of the coordinator
//                       logs/attempt_N/    of the N-th start: one file for each process
//                       logs/latest        a link to the newest
//
// The lock is released with the object, or when the process ends.
class RunDir {
 public:
  // Creates the directory, or opens an existing one to resume its run. ALREADY_EXISTS: there is one
  // and `resume` is not set. FAILED_PRECONDITION: another process holds the lock, the run has
  // begun and cannot continue with this config (common/config/resume_rules.h), or a data file has
  // changed since.
  static absl::StatusOr<std::unique_ptr<RunDir>> Open(const RunConfig& config, bool resume);
  ~RunDir();
  RunDir(const RunDir&) = delete;
  RunDir& operator=(const RunDir&) = delete;

  // Makes the folder of logs of the next start, sets the link `latest` to it and returns its path.
  absl::StatusOr<std::string> NextLogs() const;

  const std::string& path() const { return path_; }
  bool resumed() const { return resumed_; }  // the directory existed before
  // The config asks for more than the run was to do before: more stages, steps or rounds.
  bool has_more() const { return has_more_; }

 private:
  RunDir(std::string path, int lock, bool resumed)
      : path_(std::move(path)), lock_(lock), resumed_(resumed) {}

  const std::string path_;
  const int lock_;
  const bool resumed_;
  bool has_more_ = false;
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_RUN_DIR_H_
