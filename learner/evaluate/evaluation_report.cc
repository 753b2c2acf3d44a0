#include "learner/evaluate/evaluation_report.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

// Within 100 columns.
constexpr char kRow[] = "%-16s %-19s %-19s %-19s %-19s";

std::string Percent(const Estimate& e) {
  return absl::StrFormat("%5.1f%% [%4.1f, %4.1f]", 100 * e.value(), 100 * e.low(), 100 * e.high());
}

std::string Overlong(const Evaluation& e) {
  return absl::StrCat(e.overlong(), " of ", e.problems(), " problems too long, wrong");
}

void AddEstimate(const std::string& name, const Estimate& estimate,
                 std::map<std::string, double>* values) {
  (*values)[name] = estimate.value();
  (*values)[name + "/low"] = estimate.low();
  (*values)[name + "/high"] = estimate.high();
}

}  // namespace

std::map<std::string, double> EvaluationMetrics(const Evaluation& evaluation) {
  std::map<std::string, double> values = {
      {"val/problems", evaluation.problems()},    {"val/set_aside", evaluation.set_aside()},
      {"val/overlong", evaluation.overlong()},    {"val/version", evaluation.version()},
      {"timing_s/testing", evaluation.seconds()},
  };
  AddEstimate("val/maj@1", evaluation.maj_at_1(), &values);
  for (const auto& [verdict, count] : evaluation.greedy_verdicts()) {
    values["val/greedy/" + verdict] = count;
  }
  for (const auto& [name, set] : evaluation.sets()) {
    const std::string prefix = "val/set/" + name + "/";
    values[prefix + "problems"] = set.problems();
    AddEstimate(prefix + "maj@1", set.maj_at_1(), &values);
    if (set.has_maj_at_k()) AddEstimate(prefix + "maj@K", set.maj_at_k(), &values);
    if (set.has_pass_at_k()) AddEstimate(prefix + "pass@K", set.pass_at_k(), &values);
  }
  // The metrics that follow do not exist without samples: a 0 would be read as a result.
  if (evaluation.samples() == 0) return values;

  if (evaluation.has_maj_at_k()) AddEstimate("val/maj@K", evaluation.maj_at_k(), &values);
  AddEstimate("val/pass@K", evaluation.pass_at_k(), &values);
  if (evaluation.has_rerank_at_k()) {
    AddEstimate("val/rerank@K", evaluation.rerank_at_k(), &values);
  }
  if (evaluation.has_rerank_weighted_at_k()) {
    AddEstimate("val/rerank_weighted@K", evaluation.rerank_weighted_at_k(), &values);
    AddEstimate("val/rerank_gain@K", evaluation.rerank_gain(), &values);
  }
  values["val/K"] = evaluation.samples();
  for (const auto& [k, value] : evaluation.pass_at()) values["val/pass@" + k] = value;
  values["val/distinct_correct/text"] = evaluation.distinct_correct().text();
  values["val/distinct_correct/equations"] = evaluation.distinct_correct().equations();
  for (const auto& [verdict, count] : evaluation.sample_verdicts()) {
    values["val/samples/" + verdict] = count;
  }
  return values;
}

std::string EvaluationLine(const Evaluation& evaluation) {
  const uint32_t k = evaluation.samples();
  std::string line = absl::StrCat("evaluate ", evaluation.name(), ": maj@1 ");
  // Where one interval does not fit, all are in the table at the end of the run.
  const auto add = [&](absl::string_view metric, const Estimate& e) {
    absl::StrAppendFormat(&line, "%s%.1f%%", metric, 100 * e.value());
  };
  if (k == 0) {
    absl::StrAppend(&line, Percent(evaluation.maj_at_1()));
  } else {
    add("", evaluation.maj_at_1());
    if (evaluation.has_maj_at_k()) add(absl::StrCat("  maj@", k, " "), evaluation.maj_at_k());
    if (evaluation.has_rerank_at_k()) {
      add(absl::StrCat("  rerank@", k, " "), evaluation.rerank_at_k());
    }
    add(absl::StrCat("  pass@", k, " "), evaluation.pass_at_k());
  }
  absl::StrAppend(&line, "  in ", FormatSeconds(evaluation.seconds()));
  if (evaluation.overlong() > 0) absl::StrAppend(&line, "  ", Overlong(evaluation));
  return line;
}

std::string LeftOutNote(const RunConfig& config, const Evaluation& evaluation) {
  if (evaluation.samples() == 0 || evaluation.has_maj_at_k()) return "";
  std::string note = "no maj@K: eval.reward replies with no \"extracted\" answer to vote with";
  const std::string& best = config.best_metric();
  if (config.keep_evaluated() == RunConfig::BEST &&
      (best == "maj@K" || best == "rerank_weighted@K")) {
    absl::StrAppend(&note, ", so best_metric ", best, " finds no best: set maj@1 or pass@K");
  }
  return note;
}

std::vector<std::string> EvaluationTable(const std::vector<Evaluation>& evaluations) {
  const uint32_t samples = evaluations.empty() ? 0 : evaluations[0].samples();
  const bool reranked = std::any_of(evaluations.begin(), evaluations.end(),
                                    [](const Evaluation& e) { return e.has_rerank_at_k(); });
  auto heading = [&](bool shown, const char* metric) {
    return shown ? absl::StrCat(metric, samples) : "";
  };
  std::vector<std::string> rows = {
      absl::StrFormat(kRow, "evaluation", "maj@1", heading(samples > 0, "maj@"),
                      heading(samples > 0, "pass@"), heading(reranked, "rerank@"))};
  auto cell = [](bool shown, const Estimate& e) { return shown ? Percent(e) : ""; };
  for (const Evaluation& e : evaluations) {
    rows.push_back(absl::StrFormat(
        kRow, e.name(), Percent(e.maj_at_1()), cell(e.has_maj_at_k(), e.maj_at_k()),
        cell(e.samples() > 0, e.pass_at_k()), cell(e.has_rerank_at_k(), e.rerank_at_k())));
    if (e.overlong() > 0) absl::StrAppend(&rows.back(), " ", Overlong(e));
    const std::map<std::string, Evaluation::Set> sets(e.sets().begin(), e.sets().end());
    for (const auto& [name, set] : sets) {
      rows.push_back(absl::StrFormat(kRow, e.name() + "/" + name, Percent(set.maj_at_1()),
                                     cell(set.has_maj_at_k(), set.maj_at_k()),
                                     cell(set.has_pass_at_k(), set.pass_at_k()), ""));
    }
  }
  for (std::string& row : rows) absl::StripTrailingAsciiWhitespace(&row);
  return rows;
}

}  // namespace reckon
