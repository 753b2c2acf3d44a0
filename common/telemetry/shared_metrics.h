#ifndef RECKON_COMMON_TELEMETRY_SHARED_METRICS_H_
#define RECKON_COMMON_TELEMETRY_SHARED_METRICS_H_

#include <string>

#include "common/telemetry/registry.h"

namespace reckon {

// Metrics that more than one role has, declared once. The rest is in <role>_metrics.h.

// reckon_policy_version: the weight version that the role has now.
Gauge& PolicyVersion(Registry* registry);

// reckon_weight_push_seconds{part}: the learner's parts are "write" and "publish", the actor's
// "fetch" and "load".
Histogram& WeightPushSeconds(const std::string& part, Registry* registry);

// reckon_weight_bytes_total{direction}: "sent" or "received".
Counter& WeightBytesTotal(const std::string& direction, Registry* registry);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_SHARED_METRICS_H_
