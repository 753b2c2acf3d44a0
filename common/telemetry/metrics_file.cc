#include "common/telemetry/metrics_file.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {

double MetricsLine::Get(absl::string_view name, double otherwise) const {
  const auto at = values.find(std::string(name));
  return at == values.end() ? otherwise : at->second;
}

bool MetricsLine::Has(absl::string_view name) const { return values.contains(std::string(name)); }

absl::StatusOr<std::vector<MetricsLine>> ReadMetrics(const std::string& run_dir) {
  std::vector<MetricsLine> lines;
  absl::StatusOr<std::string> text = ReadFile(run_dir + "/metrics.jsonl");
  if (absl::IsNotFound(text.status())) return lines;
  RETURN_IF_ERROR(text.status());
  for (absl::string_view part : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const absl::StatusOr<nlohmann::json> object = ParseJson(part);
    if (!object.ok()) continue;
    const absl::StatusOr<int64_t> step = GetInt(*object, "step");
    if (!step.ok()) continue;
    MetricsLine& line = lines.emplace_back();
    line.step = *step;
    for (const auto& [name, value] : object->items()) {
      if (!value.is_number() || name == "step") continue;
      if (name == "time") {
        line.time = value.get<double>();
      } else {
        line.values[name] = value.get<double>();
      }
    }
  }
  return lines;
}

}  // namespace reckon
