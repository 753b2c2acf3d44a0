#include "cli/report/run_results.h"

#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/telemetry/metrics_file.h"
#include "common/text/message_json.h"

namespace reckon {
namespace {

// By index. The learner writes them as eval/<index>_<name>.json, one for each line of metrics.jsonl
// with val/version.
absl::StatusOr<std::map<uint32_t, Evaluation>> ReadEvaluationFiles(const std::string& run_dir) {
  std::map<uint32_t, Evaluation> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir + "/eval", error)) {
    const std::string name = entry.path().filename().string();
    if (!absl::EndsWith(name, ".json") || name == "summary.json") continue;
    ASSIGN_OR_RETURN(const std::string text, ReadFile(entry.path().string()));
    Evaluation evaluation;
    if (const absl::Status status = MessageFromJson(text, &evaluation); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(entry.path().string(), ": ", status.message()));
    }
    found[evaluation.index()] = std::move(evaluation);
  }
  return found;
}

}  // namespace

absl::StatusOr<RunResults> ReadRunResults(const std::string& run_dir) {
  RunResults out;
  ASSIGN_OR_RETURN(const std::vector<MetricsLine> lines, ReadMetrics(run_dir));
  ASSIGN_OR_RETURN(const auto evaluations, ReadEvaluationFiles(run_dir));
  double sampled = 0, sampling_s = 0, trained = 0, training_s = 0;
  uint32_t index = 0;
  for (const MetricsLine& line : lines) {
    const double tokens = line.Get("num_tokens");
    if (line.Has("timing_s/gen")) {
      out.rounds.push_back({.samples = line.Get("total/num_samples"),
                            .reward = line.Get("reward"),
                            .length = line.Get("response_length/mean")});
      sampled += tokens;
      sampling_s += line.Get("timing_s/gen");
    }
    for (const char* update : {"timing_s/update_actor", "timing_s/update_policy"}) {
      if (!line.Has(update)) continue;
      trained += tokens;
      training_s += line.Get(update);
    }
    if (line.Has("val/version")) {
      const auto evaluation = evaluations.find(index++);
      if (evaluation != evaluations.end()) {
        out.evaluations.push_back({.evaluation = evaluation->second,
                                   .samples = line.Get("total/num_samples"),
                                   .tokens = line.Get("total/num_tokens"),
                                   .seconds = line.Get("timing_s/total")});
      }
    }
    out.seconds = line.Get("timing_s/total", out.seconds);
  }
  if (sampling_s > 0) out.sampled_tokens_per_s = sampled / sampling_s;
  if (training_s > 0) out.trained_tokens_per_s = trained / training_s;
  return out;
}

std::optional<Estimate> MetricOf(const Evaluation& evaluation, absl::string_view name) {
  const google::protobuf::Descriptor& type = *Evaluation::descriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const auto* field = type.field(i);
    if (field->message_type() != Estimate::descriptor() || field->json_name() != name) continue;
    if (!evaluation.GetReflection()->HasField(evaluation, field)) return std::nullopt;
    return static_cast<const Estimate&>(evaluation.GetReflection()->GetMessage(evaluation, field));
  }
  return std::nullopt;
}

}  // namespace reckon
