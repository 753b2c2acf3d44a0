#ifndef RECKON_COMMON_TELEMETRY_PROCESS_METRICS_H_
#define RECKON_COMMON_TELEMETRY_PROCESS_METRICS_H_

#include <memory>
#include <string>

#include "common/telemetry/registry.h"

namespace reckon {

// What every role tells of its process, whatever it does: which program it is (reckon_build_info),
// its start, CPU time and memory by the names that Prometheus' own libraries use (process_*), and
// how many warnings and errors it has logged. Created by OperatorPorts; lives as long as the
// process serves metrics.
class ProcessMetrics {
 public:
  ProcessMetrics(const std::string& role, Registry* registry);
  ~ProcessMetrics();

 private:
  class LogCounter;
  std::unique_ptr<LogCounter> logged_;
  Registry::Handle refresh_;
};

// Free and whole size of the file system of `folder`, where the role keeps what it must not lose.
// The handle ends it.
[[nodiscard]] Registry::Handle WatchDisk(const std::string& folder, Registry* registry);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_PROCESS_METRICS_H_
