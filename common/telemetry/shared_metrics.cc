#include "common/telemetry/shared_metrics.h"

namespace reckon {

Gauge& PolicyVersion(Registry* registry) {
  return registry->AddGauge(
      "reckon_policy_version",
      "Weight version: the newest published (coordinator), loaded (actor), trained (learner)");
}

Histogram& WeightPushSeconds(const std::string& part, Registry* registry) {
  return registry->AddHistogram(
      "reckon_weight_push_seconds",
      "Parts of bringing a weight version to the actors: write, publish (learner), fetch, load "
      "(actor)",
      ExponentialBounds(0.01, 2, 16), {{"part", part}});
}

Counter& WeightBytesTotal(const std::string& direction, Registry* registry) {
  return registry->AddCounter("reckon_weight_bytes_total",
                              "Bytes of weight chunks, sent (learner) or received (actor)",
                              {{"direction", direction}});
}

}  // namespace reckon
