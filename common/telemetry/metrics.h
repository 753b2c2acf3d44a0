#ifndef RECKON_COMMON_TELEMETRY_METRICS_H_
#define RECKON_COMMON_TELEMETRY_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reckon {

// A run's metrics: one JSON object a step in metrics.jsonl, {"step": 3, "time": 1.7e9,
// "loss": 2.5}, and the same values in a TensorBoard event file under tensorboard/. docs/metrics.md
// lists every name with its unit and meaning. Owned by learner rank 0; not thread-safe.
class MetricsWriter {
 public:
  // Appends to the files of `run_dir`. A run that resumes at `resume_step` writes that step again,
  // so lines of an earlier attempt from it on are cut from metrics.jsonl, and TensorBoard is told
  // to forget them. Errors name the file.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(const std::string& run_dir,
                                                             int64_t resume_step);
  ~MetricsWriter();
  // A value that is not finite is null in metrics.jsonl.
  absl::Status Write(int64_t step, const std::map<std::string, double>& values);

 private:
  class AppendFile;
  MetricsWriter(std::unique_ptr<AppendFile> lines, std::unique_ptr<AppendFile> events);

  const std::unique_ptr<AppendFile> lines_, events_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_METRICS_H_
