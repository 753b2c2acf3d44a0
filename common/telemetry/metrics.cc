#include "common/telemetry/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/host_port.h"
#include "common/base/paths.h"
#include "common/base/status_macros.h"
#include "common/telemetry/event_file.h"
#include "common/text/json.h"

namespace reckon {
namespace {

double UnixNow() { return absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()); }

// Keeps the whole lines of steps before `resume_step`.
absl::Status CutLines(const std::string& path, int64_t resume_step) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  RETURN_IF_ERROR(text.status());
  std::string kept;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    // A last line that a crash cut short does not parse and goes too.
    absl::StatusOr<nlohmann::json> object = ParseJson(line);
    if (!object.ok()) continue;
    absl::StatusOr<int64_t> step = GetInt(*object, "step");
    if (step.ok() && *step < resume_step) absl::StrAppend(&kept, line, "\n");
  }
  // A run that starts anew, or resumes without repeating a step, leaves the file as it is.
  if (kept == *text) return absl::OkStatus();
  return WriteFileAtomically(path, kept);
}

}  // namespace

// An open file that is only appended to.
class MetricsWriter::AppendFile {
 public:
  AppendFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~AppendFile() { ::close(fd_); }
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  static absl::StatusOr<std::unique_ptr<AppendFile>> Open(const std::string& path) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
    return std::make_unique<AppendFile>(fd, path);
  }

  absl::Status Append(absl::string_view data) {
    while (!data.empty()) {
      ssize_t n = ::write(fd_, data.data(), data.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
      data.remove_prefix(n);
    }
    return absl::OkStatus();
  }

 private:
  const int fd_;
  const std::string path_;
};

MetricsWriter::MetricsWriter(std::unique_ptr<AppendFile> lines, std::unique_ptr<AppendFile> events)
    : lines_(std::move(lines)), events_(std::move(events)) {}

MetricsWriter::~MetricsWriter() = default;

absl::StatusOr<std::unique_ptr<MetricsWriter>> MetricsWriter::Open(const std::string& run_dir,
                                                                   int64_t resume_step) {
  std::string lines_path = run_dir + "/metrics.jsonl";
  std::string folder = run_dir + "/tensorboard";
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(CutLines(lines_path, resume_step));
  ASSIGN_OR_RETURN(auto lines, AppendFile::Open(lines_path));

  std::error_code error;
  const bool restart = !std::filesystem::is_empty(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot list ", folder));
  const std::string host = MachineName();
  double now = UnixNow();
  // TensorBoard reads the files of a folder in the order of their names: whole seconds first.
  std::string name = absl::StrCat("events.out.tfevents.", absl::ToUnixSeconds(absl::Now()), ".",
                                  host, ".", ::getpid());
  // Two writers of one process in one second, as in tests: appending to the other's file would put
  // a second version event into its middle.
  for (int i = 1;; ++i) {
    ASSIGN_OR_RETURN(const bool taken, PathExists(absl::StrCat(folder, "/", name)));
    if (!taken) break;
    name = absl::StrCat("events.out.tfevents.", absl::ToUnixSeconds(absl::Now()), ".", host, ".",
                        ::getpid(), ".", i);
  }
  ASSIGN_OR_RETURN(auto events, AppendFile::Open(absl::StrCat(folder, "/", name)));
  RETURN_IF_ERROR(events->Append(TfRecord(VersionEvent(now))));
  if (restart) RETURN_IF_ERROR(events->Append(TfRecord(RestartEvent(now, resume_step))));
  return std::unique_ptr<MetricsWriter>(new MetricsWriter(std::move(lines), std::move(events)));
}

absl::Status MetricsWriter::Write(int64_t step, const std::map<std::string, double>& values) {
  double now = UnixNow();
  nlohmann::ordered_json object;
  object["step"] = step;
  object["time"] = now;
  for (const auto& [name, value] : values) {
    // JSON has no NaN; null keeps the name in the line, so that readers see the step and not a gap.
    object[name] = std::isfinite(value) ? nlohmann::ordered_json(value) : nullptr;
  }
  RETURN_IF_ERROR(lines_->Append(
      object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"));
  return events_->Append(TfRecord(ScalarsEvent(now, step, values)));
}

}  // namespace reckon
