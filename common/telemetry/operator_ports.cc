#include "common/telemetry/operator_ports.h"

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(
    std::string, metrics_listen, "",
    "HOST:PORT to serve Prometheus metrics on, at /metrics; port 0: any free one; empty: none");
ABSL_FLAG(std::string, metrics_target, "",
          "file to tell Prometheus (file_sd_configs) where the metrics are; empty: none");
ABSL_FLAG(std::string, health_listen, "",
          "HOST:PORT to serve gRPC health on: services startup, liveness, readiness; empty: none");

namespace reckon {
namespace {

absl::Status OfFlag(absl::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("--", flag, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<OperatorPorts>> OperatorPorts::Open(const std::string& role,
                                                                   const Activity* activity) {
  auto ports = absl::WrapUnique(new OperatorPorts());
  if (const std::string listen = absl::GetFlag(FLAGS_metrics_listen); !listen.empty()) {
    ports->process_ = std::make_unique<ProcessMetrics>(role, &Registry::Process());
    auto server = MetricsServer::Start(listen, &Registry::Process());
    if (!server.ok()) return OfFlag("metrics_listen", server.status());
    ports->metrics_ = *std::move(server);
    LOG(INFO) << "metrics at http://" << ports->metrics_->address() << "/metrics";
    if (const std::string file = absl::GetFlag(FLAGS_metrics_target); !file.empty()) {
      auto target = MetricsTarget::Write(file, role, ports->metrics_->address());
      if (!target.ok()) return OfFlag("metrics_target", target.status());
      ports->target_ = *std::move(target);
    }
  }
  if (const std::string listen = absl::GetFlag(FLAGS_health_listen); !listen.empty()) {
    auto server = HealthServer::Start(listen, activity);
    if (!server.ok()) return OfFlag("health_listen", server.status());
    ports->health_ = *std::move(server);
    LOG(INFO) << "health at " << ports->health_->address();
  }
  return ports;
}

}  // namespace reckon
