#ifndef RECKON_CLI_RUN_DIR_H_
#define RECKON_CLI_RUN_DIR_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/config.pb.h"

namespace reckon {

// "~/x" to the home folder, others to an absolute path; "builtin" and "" stay.
std::string AbsolutePath(const std::string& path);
// Makes the config's paths absolute, so that a run means the same from every folder.
void MakePathsAbsolute(RunConfig* config);

// <output_dir>/<name> with its folders and config.textproto, locked against a second `reckon
// train`. The lock goes with the object, or with the process.
class RunDir {
 public:
  // ALREADY_EXISTS without `resume`; with it FAILED_PRECONDITION when the run there had another
  // config (threads and counts of roles may change). Makes a new run when none is there.
  static absl::StatusOr<std::unique_ptr<RunDir>> Open(const RunConfig& config, bool resume);
  ~RunDir();
  RunDir(const RunDir&) = delete;
  RunDir& operator=(const RunDir&) = delete;

  const std::string& path() const { return path_; }
  bool resumed() const { return resumed_; }  // there was one before

 private:
  RunDir(std::string path, int lock, bool resumed)
      : path_(std::move(path)), lock_(lock), resumed_(resumed) {}

  const std::string path_;
  const int lock_;
  const bool resumed_;
};

}  // namespace reckon

#endif  // RECKON_CLI_RUN_DIR_H_
