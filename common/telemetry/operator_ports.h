#ifndef RECKON_COMMON_TELEMETRY_OPERATOR_PORTS_H_
#define RECKON_COMMON_TELEMETRY_OPERATOR_PORTS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/telemetry/activity.h"
#include "common/telemetry/health_server.h"
#include "common/telemetry/metrics_server.h"
#include "common/telemetry/metrics_target.h"
#include "common/telemetry/process_metrics.h"

namespace reckon {

// The two ports for those who operate a role, beside those of the run, and the flags of every
// role's program that open them:
//
//   --metrics_listen=HOST:PORT  /metrics of Registry::Process()   (metrics_server.h)
//   --metrics_target=FILE       tells Prometheus where that is     (metrics_target.h)
//   --health_listen=HOST:PORT   gRPC health of the main loop      (health_server.h)
//
// Both are read-only, in plain text, and without data of the run. Owned by the role's main, which
// opens them before it loads anything, so that a probe sees a role that starts.
class OperatorPorts {
 public:
  // `role`: "coordinator", "actor" or "learner". Errors name the flag and are one line.
  // `activity` outlives the ports.
  static absl::StatusOr<std::unique_ptr<OperatorPorts>> Open(const std::string& role,
                                                             const Activity* activity);

 private:
  OperatorPorts() = default;

  std::unique_ptr<ProcessMetrics> process_;
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<MetricsTarget> target_;
  std::unique_ptr<HealthServer> health_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_OPERATOR_PORTS_H_
