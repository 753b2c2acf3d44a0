#include "cli/sweep/sweep_results.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/sweep/run_state.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string CsvNumber(double value) { return absl::StrFormat("%.10g", value); }

// The values of item k of each run that has one, by `get`.
template <typename Run, typename Get>
SeedEstimate Over(const std::vector<Run>& runs, Get get) {
  std::vector<double> values;
  for (const Run& run : runs) {
    if (const std::optional<double> value = get(run)) values.push_back(*value);
  }
  return EstimateOverSeeds(values);
}

ArmResults::Point EvaluationOver(const std::vector<const RunResults::Point*>& points) {
  ArmResults::Point out;
  out.name = points[0]->evaluation.name();
  out.samples = Over(points, [](auto* p) { return std::optional(p->samples); });
  out.seconds = Over(points, [](auto* p) { return std::optional(p->seconds); });
  for (const char* metric : kReportMetrics) {
    const SeedEstimate estimate = Over(points, [&](auto* p) -> std::optional<double> {
      const std::optional<Estimate> value = MetricOf(p->evaluation, metric);
      return value ? std::optional(value->value()) : std::nullopt;
    });
    if (estimate.seeds > 0) out.metrics[metric] = estimate;
  }
  return out;
}

ArmResults::Round RoundOver(const std::vector<const RunResults::Round*>& rounds) {
  return {.samples = Over(rounds, [](auto* r) { return std::optional(r->samples); }),
          .reward = Over(rounds, [](auto* r) { return std::optional(r->reward); }),
          .length = Over(rounds, [](auto* r) { return std::optional(r->length); })};
}

// Item k of each run, for every k that a run has.
template <typename Item, typename Out>
void Transpose(const std::vector<const RunResults*>& runs,
               const std::vector<Item>& (*items)(const RunResults&),
               Out (*over)(const std::vector<const Item*>&), std::vector<Out>* out) {
  for (size_t k = 0;; ++k) {
    std::vector<const Item*> of_k;
    for (const RunResults* run : runs) {
      if (k < items(*run).size()) of_k.push_back(&items(*run)[k]);
    }
    if (of_k.empty()) return;
    out->push_back(over(of_k));
  }
}

}  // namespace

absl::StatusOr<std::vector<RunOutcome>> ReadOutcomes(
    const SweepPlan& plan, const std::map<std::string, std::string>& failures) {
  std::vector<RunOutcome> outcomes;
  for (const SweepRun& run : plan.runs) {
    RunOutcome& outcome = outcomes.emplace_back();
    ASSIGN_OR_RETURN(const RunState state, InspectRun(run));
    outcome.state = state == RunState::kFinished ? "finished"
                    : state == RunState::kNew    ? "not started"
                                                 : "interrupted";
    if (const auto failure = failures.find(run.name); failure != failures.end()) {
      outcome.state = "failed";
      outcome.error = failure->second;
    }
    ASSIGN_OR_RETURN(outcome.results, ReadRunResults(run.folder()));
  }
  return outcomes;
}

std::vector<ArmResults> SummarizeArms(const SweepPlan& plan,
                                      const std::vector<RunOutcome>& outcomes) {
  std::vector<ArmResults> arms;
  for (const std::string& label : plan.arms) {
    ArmResults& arm = arms.emplace_back();
    arm.label = label;
    std::vector<const RunResults*> runs;
    std::vector<double> sampled, trained, seconds;
    for (size_t i = 0; i < plan.runs.size(); ++i) {
      const SweepRun& run = plan.runs[i];
      if (run.is_start || run.arm != label) continue;
      arm.values = run.values;
      arm.actors = run.config.resources().actors();
      arm.ranks = run.config.resources().learner_ranks();
      arm.runs += 1;
      const RunResults& results = outcomes[i].results;
      runs.push_back(&results);
      if (outcomes[i].state != "finished") continue;
      arm.finished += 1;
      if (results.sampled_tokens_per_s > 0) sampled.push_back(results.sampled_tokens_per_s);
      if (results.trained_tokens_per_s > 0) trained.push_back(results.trained_tokens_per_s);
      seconds.push_back(results.seconds);
    }
    arm.sampled_tokens_per_s = EstimateOverSeeds(sampled);
    arm.trained_tokens_per_s = EstimateOverSeeds(trained);
    arm.seconds = EstimateOverSeeds(seconds);
    Transpose<RunResults::Point, ArmResults::Point>(
        runs, [](const RunResults& r) -> const auto& { return r.evaluations; }, EvaluationOver,
        &arm.evaluations);
    Transpose<RunResults::Round, ArmResults::Round>(
        runs, [](const RunResults& r) -> const auto& { return r.rounds; }, RoundOver, &arm.rounds);
  }
  return arms;
}

std::string ResultsCsv(const SweepPlan& plan, const std::vector<RunOutcome>& outcomes) {
  std::vector<std::string> head = {"run", "arm"};
  std::vector<std::string> axes;
  for (const SweepRun& run : plan.runs) {
    if (run.is_start) continue;
    for (const auto& [axis, value] : run.values) axes.push_back(axis);
    break;
  }
  head.insert(head.end(), axes.begin(), axes.end());
  for (const char* name :
       {"seed", "state", "actors", "learner_ranks", "sampled_tokens_per_s", "trained_tokens_per_s",
        "evaluation", "version", "samples", "tokens", "seconds", "problems", "K"}) {
    head.push_back(name);
  }
  for (const char* metric : kReportMetrics) {
    for (const char* bound : {"", "/low", "/high"}) head.push_back(absl::StrCat(metric, bound));
  }
  std::string out;
  auto add = [&](std::vector<std::string> fields) {
    fields.resize(head.size());
    for (std::string& field : fields) field = CsvField(field);
    absl::StrAppend(&out, absl::StrJoin(fields, ","), "\r\n");
  };
  add(head);
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    const SweepRun& run = plan.runs[i];
    const RunResults& results = outcomes[i].results;
    std::vector<std::string> first = {run.name, run.arm};
    for (size_t a = 0; a < axes.size(); ++a) {
      first.push_back(a < run.values.size() ? run.values[a].second : "");
    }
    for (const std::string& field :
         {absl::StrCat(run.seed), outcomes[i].state, absl::StrCat(run.config.resources().actors()),
          absl::StrCat(run.config.resources().learner_ranks()),
          CsvNumber(results.sampled_tokens_per_s), CsvNumber(results.trained_tokens_per_s)}) {
      first.push_back(field);
    }
    if (results.evaluations.empty()) add(first);
    for (const RunResults::Point& point : results.evaluations) {
      const Evaluation& e = point.evaluation;
      std::vector<std::string> row = first;
      for (const std::string& field :
           {e.name(), absl::StrCat(e.version()), CsvNumber(point.samples), CsvNumber(point.tokens),
            CsvNumber(point.seconds), absl::StrCat(e.problems()), absl::StrCat(e.samples())}) {
        row.push_back(field);
      }
      for (const char* metric : kReportMetrics) {
        const std::optional<Estimate> value = MetricOf(e, metric);
        for (const double number :
             {value ? value->value() : 0, value ? value->low() : 0, value ? value->high() : 0}) {
          row.push_back(value ? CsvNumber(number) : "");
        }
      }
      add(row);
    }
  }
  return out;
}

}  // namespace reckon
