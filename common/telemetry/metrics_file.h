#ifndef RECKON_COMMON_TELEMETRY_METRICS_FILE_H_
#define RECKON_COMMON_TELEMETRY_METRICS_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// One line of metrics.jsonl. Values that were not finite are left out.
struct MetricsLine {
  int64_t step = 0;
  double time = 0;  // s since 1970
  std::map<std::string, double> values;

  // The value, or `otherwise` when the line has none of that name.
  double Get(absl::string_view name, double otherwise = 0) const;
  bool Has(absl::string_view name) const;
};

// The lines of <run_dir>/metrics.jsonl (common/telemetry/metrics.h writes them), in their order.
// None when there is no such file. A line that is no JSON object with a step is left out: the
// last one may have been cut short, as the run may be writing it now.
absl::StatusOr<std::vector<MetricsLine>> ReadMetrics(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_METRICS_FILE_H_
