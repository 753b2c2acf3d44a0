#include "learner/evaluate/kept_versions.h"

#include <filesystem>

#include "absl/strings/str_cat.h"

namespace reckon {

std::optional<double> MetricOf(const Evaluation& evaluation, const std::string& metric) {
  if (metric == "maj@1") return evaluation.maj_at_1().value();
  if (metric == "maj@K" && evaluation.has_maj_at_k()) return evaluation.maj_at_k().value();
  if (metric == "pass@K" && evaluation.has_pass_at_k()) return evaluation.pass_at_k().value();
  if (metric == "rerank@K" && evaluation.has_rerank_at_k()) {
    return evaluation.rerank_at_k().value();
  }
  if (metric == "rerank_weighted@K" && evaluation.has_rerank_weighted_at_k()) {
    return evaluation.rerank_weighted_at_k().value();
  }
  return std::nullopt;
}

const Evaluation* BestEvaluation(const std::vector<Evaluation>& evaluations,
                                 const std::string& metric) {
  const Evaluation* best = nullptr;
  double most = 0;
  for (const Evaluation& evaluation : evaluations) {
    const std::optional<double> value = MetricOf(evaluation, metric);
    if (!value.has_value() || (best != nullptr && *value <= most)) continue;
    best = &evaluation;
    most = *value;
  }
  return best;
}

std::set<uint64_t> KeptVersions(const RunConfig& config,
                                const std::vector<Evaluation>& evaluations) {
  std::set<uint64_t> versions;
  if (config.keep_evaluated() == RunConfig::ALL) {
    for (const Evaluation& evaluation : evaluations) versions.insert(evaluation.version());
  } else if (config.keep_evaluated() == RunConfig::BEST) {
    const Evaluation* best = BestEvaluation(evaluations, config.best_metric());
    if (best != nullptr) versions.insert(best->version());
  }
  return versions;
}

absl::Status LinkBest(const std::string& run_dir, const std::string& target) {
  const std::string link = run_dir + "/best", temporary = link + ".tmp";
  std::error_code error;
  std::filesystem::remove(temporary, error);
  std::filesystem::create_directory_symlink(target, temporary, error);
  if (!error) std::filesystem::rename(temporary, link, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot link ", link));
}

}  // namespace reckon
