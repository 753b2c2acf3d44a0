#ifndef RECKON_COMMON_TELEMETRY_METRICS_TARGET_H_
#define RECKON_COMMON_TELEMETRY_METRICS_TARGET_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace reckon {

// A file that tells Prometheus where a process serves its metrics, in the form of file_sd_configs:
//
//   [{"labels":{"job":"reckon-actor","process":"actor-0"},"targets":["127.0.0.1:40123"]}]
//
// The process is named by the file, actor-0.json. The file is deleted with the object, so that a
// process which ended in order is no target any more; one that was killed leaves it until the next
// of its name, and meanwhile is a target that is down.
class MetricsTarget {
 public:
  // `role` and the HOST:PORT that is served. On a wildcard address it is told by this machine's
  // name. The status of the file's error.
  static absl::StatusOr<std::unique_ptr<MetricsTarget>> Write(const std::string& file,
                                                              const std::string& role,
                                                              const std::string& listening);
  ~MetricsTarget();
  MetricsTarget(const MetricsTarget&) = delete;
  MetricsTarget& operator=(const MetricsTarget&) = delete;

 private:
  explicit MetricsTarget(std::string file) : file_(std::move(file)) {}

  const std::string file_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_METRICS_TARGET_H_
