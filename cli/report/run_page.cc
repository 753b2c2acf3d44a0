#include "cli/report/run_page.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/launcher/run_dir.h"
#include "cli/page/html_page.h"
#include "cli/report/rollout_browser.h"
#include "cli/report/run_reader.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/stage_info.h"
#include "common/telemetry/figures.h"
#include "common/telemetry/progress.h"

namespace reckon {
namespace {

constexpr size_t kCurvePoints = 200;

constexpr const char* kShownMetrics[] = {"maj@1", "maj@K", "rerank@K", "rerank_weighted@K",
                                         "pass@K"};

// Curves against the step: name in metrics.jsonl, what it is called, whether it is a proportion.
struct Curve {
  const char *name, *title;
  bool percent;
};
constexpr Curve kCurves[] = {
    {"reward", "Mean reward of the samples", false},
    {"loss", "Loss of fine-tuning, nats a token", false},
    {"response_length/mean", "Length of the samples, tokens", false},
    {"response_length/clip_ratio", "Samples cut at max_new_tokens", true},
    {"frac_reward_zero_std", "Groups with equal rewards", true},
    {"sample/solved_ratio", "Prompts with an accepted sample", true},
    {"actor/entropy", "Entropy, nats a token", false},
    {"actor/reward_kl_penalty", "KL to the reference policy, nats a token", false},
    {"actor/pg_clipfrac", "Tokens whose gain was clipped", true},
    {"grad_norm", "Norm of the gradient", false},
    {"critic/vf_explained_var", "Explained variance of the critic", false},
    {"staleness/mean", "Staleness, versions", false},
    {"mismatch_kl", "KL of actor and learner, nats a token", false},
    {"perf/throughput", "Tokens/s", false},
};

// The last `count` parts of a folder's path, "b/c" of /a/b/c; "" when it has fewer.
std::string EndOf(const std::string& folder, size_t count) {
  const std::string path = AbsolutePath(folder);
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  if (count > parts.size()) return "";
  return absl::StrJoin(parts.end() - static_cast<std::ptrdiff_t>(count), parts.end(), "/");
}

// What the page calls the runs: their names, and where several have one, as much of the end of
// their folders as tells them apart.
std::vector<std::string> LabelsOf(const std::vector<ReportedRun>& runs) {
  std::vector<std::string> labels;
  for (const ReportedRun& run : runs) labels.push_back(run.config.name());
  std::vector<size_t> parts(runs.size());
  for (bool longer = true; longer;) {
    const std::vector<std::string> before = labels;
    longer = false;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (std::count(before.begin(), before.end(), before[i]) == 1) continue;
      const std::string end = EndOf(runs[i].folder, ++parts[i]);
      if (end.empty()) continue;  // one folder that is given twice
      labels[i] = end;
      longer = true;
    }
  }
  return labels;
}

// A chart's line of at most kCurvePoints points: each the mean of as many steps, with their lowest
// and highest as a band.
ChartSeries CurveOf(const ReportedRun& run, const std::string& label, const std::string& metric,
                    int style) {
  std::vector<std::pair<double, double>> values;
  for (const MetricsLine& line : run.lines) {
    if (line.Has(metric)) values.emplace_back(static_cast<double>(line.step), line.Get(metric));
  }
  ChartSeries series = {.label = label, .style = style, .points = {}};
  const size_t every = (values.size() + kCurvePoints - 1) / kCurvePoints;
  for (size_t begin = 0; begin < values.size(); begin += every) {
    const size_t end = std::min(begin + every, values.size());
    ChartSeries::Point point = {
        .x = 0, .y = 0, .low = values[begin].second, .high = values[begin].second};
    for (size_t i = begin; i < end; ++i) {
      point.x += values[i].first;
      point.y += values[i].second;
      point.low = std::min(point.low, values[i].second);
      point.high = std::max(point.high, values[i].second);
    }
    // Of the sum, so that the mean of equal values is that value.
    point.x /= static_cast<double>(end - begin);
    point.y /= static_cast<double>(end - begin);
    series.points.push_back(point);
  }
  return series;
}

std::string Percent(const std::optional<Estimate>& e) {
  if (!e) return "-";
  return absl::StrFormat("%.1f&nbsp;%% <span class=\"soft\">[%.1f, %.1f]</span>", 100 * e->value(),
                         100 * e->low(), 100 * e->high());
}

std::string StageLine(const Stage& stage) {
  const StageInfo info(stage);
  std::vector<std::string> parts;
  for (const char* count : {"rounds", "steps", "prompts", "samples_per_prompt"}) {
    if (const auto value = info.Count(count)) parts.push_back(absl::StrCat(count, " ", *value));
  }
  for (const RewardSpec* reward : info.rewards()) {
    parts.push_back(absl::StrCat("reward ", RewardName(*reward)));
  }
  return absl::StrCat(info.kind(), parts.empty() ? "" : ": ", absl::StrJoin(parts, ", "));
}

// The file or folder, or the sets of a mixture.
std::string DataOf(const RunConfig& config) {
  std::vector<std::string> sets;
  for (const MixtureSet& set : config.data().set()) sets.push_back(set.name());
  return sets.empty() ? config.data().train() : absl::StrJoin(sets, ", ");
}

std::string ModelOf(const RunConfig& config) {
  const StageInfo first(config.stage_size() > 0 ? config.stage(0) : Stage::default_instance());
  return first.kind() == "init" ? "made by its init stage" : config.model().path();
}

class Summary {
 public:
  explicit Summary(const std::vector<ReportedRun>& runs) : runs_(runs), labels_(LabelsOf(runs)) {}

  HtmlPage Make() {
    WhatWasRun();
    Evaluations();
    AgainstSamples();
    Curves();
    Time();
    return std::move(page_);
  }

 private:
  std::string Key(size_t run) const {
    return runs_.size() == 1 ? "" : SvgKey(static_cast<int>(run)) + " ";
  }

  void Legend() {
    if (runs_.size() == 1) return;
    std::vector<std::pair<std::string, int>> lines;
    for (size_t i = 0; i < runs_.size(); ++i) {
      lines.emplace_back(labels_[i], static_cast<int>(i));
    }
    page_.Legend(lines);
  }

  void WhatWasRun() {
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const ReportedRun& run = runs_[i];
      std::vector<std::string> stages;
      for (const Stage& stage : run.config.stage()) stages.push_back(EscapeHtml(StageLine(stage)));
      std::string state = "not started";
      if (run.progress) {
        state = run.progress->finished() ? "finished" : "not over: " + run.progress->phase();
      }
      const double samples = run.lines.empty() ? 0 : run.lines.back().Get("total/num_samples");
      rows.push_back({Key(i) + EscapeHtml(labels_[i]), EscapeHtml(state),
                      EscapeHtml(ModelOf(run.config)), EscapeHtml(DataOf(run.config)),
                      absl::StrJoin(stages, "<br>"), FormatCount(samples),
                      FormatSeconds(run.results.seconds)});
    }
    page_.Add("<div class=\"first-text\">");
    page_.Table({"run", "state", "model", "data", "stages", "samples", "time"}, rows);
    page_.Add("</div>");
    for (size_t i = 0; i < runs_.size(); ++i) {
      const ReportedRun& run = runs_[i];
      page_.Add(Tag(
          "details",
          absl::StrCat("<summary>Config of ", EscapeHtml(labels_[i]), "</summary>",
                       Tag("pre", Tag("code", EscapeHtml(FormatConfig(run.config)))),
                       Tag("p", absl::StrCat("Its folder: ", Tag("code", EscapeHtml(run.folder)))),
                       "")));
    }
  }

  // Those that any run has.
  std::vector<std::string> Metrics() const {
    std::vector<std::string> metrics;
    for (const char* metric : kShownMetrics) {
      for (const ReportedRun& run : runs_) {
        const auto& all = run.results.evaluations;
        if (std::any_of(all.begin(), all.end(), [&](const RunResults::Point& point) {
              return MetricOf(point.evaluation, metric).has_value();
            })) {
          metrics.emplace_back(metric);
          break;
        }
      }
    }
    return metrics;
  }

  void Evaluations() {
    page_.Heading("Evaluations");
    if (Metrics().empty()) {
      page_.Note("None yet.");
      return;
    }
    page_.Note(
        "Proportion of problems, with the 95 % bootstrap interval over problems. Samples are those "
        "drawn for training until then.");
    std::vector<std::string> head = {"evaluation"};
    for (const std::string& metric : Metrics()) head.push_back(EscapeHtml(metric));
    head.insert(head.end(), {"K", "problems", "samples", "time"});
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < runs_.size(); ++i) {
      for (const RunResults::Point& point : runs_[i].results.evaluations) {
        const Evaluation& e = point.evaluation;
        const std::string of_run = runs_.size() == 1 ? "" : labels_[i] + ": ";
        std::vector<std::string> row = {Key(i) + EscapeHtml(of_run + e.name())};
        for (const std::string& metric : Metrics()) row.push_back(Percent(MetricOf(e, metric)));
        row.push_back(absl::StrCat(e.samples()));
        row.push_back(FormatCount(e.problems()));
        row.push_back(FormatCount(point.samples));
        row.push_back(FormatSeconds(point.seconds));
        rows.push_back(std::move(row));
        AddSets(e, &rows);
      }
    }
    page_.Table(head, rows);
  }

  // A row for each set of a mixture.
  void AddSets(const Evaluation& e, std::vector<std::vector<std::string>>* rows) const {
    const std::map<std::string, Evaluation::Set> sets(e.sets().begin(), e.sets().end());
    for (const auto& [name, set] : sets) {
      Evaluation of_set;
      *of_set.mutable_maj_at_1() = set.maj_at_1();
      of_set.set_samples(e.samples());
      if (set.has_maj_at_k()) *of_set.mutable_maj_at_k() = set.maj_at_k();
      if (set.has_pass_at_k()) *of_set.mutable_pass_at_k() = set.pass_at_k();
      std::vector<std::string>& row = rows->emplace_back();
      row.push_back(absl::StrCat("&ensp;", EscapeHtml(name)));
      for (const std::string& metric : Metrics()) row.push_back(Percent(MetricOf(of_set, metric)));
      row.insert(row.end(), {"", FormatCount(set.problems()), "", ""});
    }
  }

  void AgainstSamples() {
    std::vector<Chart> charts;
    for (const std::string& metric : Metrics()) {
      Chart& chart = charts.emplace_back();
      chart.title = metric;
      chart.x_label = "samples drawn for training";
      chart.log_x = chart.percent = true;
      for (size_t i = 0; i < runs_.size(); ++i) {
        ChartSeries& line = chart.series.emplace_back();
        line.label = labels_[i];
        line.style = static_cast<int>(i);
        for (const RunResults::Point& point : runs_[i].results.evaluations) {
          if (const auto e = MetricOf(point.evaluation, metric)) {
            line.points.push_back(
                {.x = point.samples, .y = e->value(), .low = e->low(), .high = e->high()});
          }
        }
      }
    }
    if (charts.empty()) return;
    page_.Heading("Metrics against samples");
    page_.Note("On a logarithmic axis; 0 is before any sample. Bands are the intervals.");
    Legend();
    page_.Charts(charts);
  }

  void Curves() {
    std::vector<Chart> charts;
    bool any = false, thinned = false;
    for (const Curve& curve : kCurves) {
      Chart& chart = charts.emplace_back();
      chart.title = curve.title;
      chart.x_label = "step";
      chart.whole_x = true;
      chart.percent = curve.percent;
      for (size_t i = 0; i < runs_.size(); ++i) {
        chart.series.push_back(CurveOf(runs_[i], labels_[i], curve.name, static_cast<int>(i)));
        any |= !chart.series.back().points.empty();
        thinned |= runs_[i].lines.size() > kCurvePoints;
      }
    }
    if (!any) return;
    page_.Heading("Learning curves");
    page_.Note(absl::StrCat(
        "By line of metrics.jsonl: an optimizer step of a fine-tuning, a round or step of "
        "sampling.",
        thinned ? " Where there are many, a point is the mean of several, and the band goes from "
                  "their lowest to their highest."
                : ""));
    Legend();
    page_.Charts(charts);
  }

  void Time() {
    const std::pair<const char*, const char*> parts[] = {
        {"timing_s/gen", "sampling"},
        {"timing_s/old_log_prob", "scoring"},
        {"timing_s/update_actor", "policy updates"},
        {"timing_s/update_policy", "fine-tuning"},
        {"timing_s/testing", "evaluations"}};
    std::string bars;
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const double total = runs_[i].results.seconds;
      if (total <= 0) continue;
      std::string bar;
      double told = 0;
      const auto add = [&](const std::string& what, double seconds, size_t style) {
        if (seconds <= 0.0005 * total) return;
        absl::StrAppendFormat(
            &bar, "<i class=\"part p%d\" style=\"width:%.2f%%\" title=\"%s: %s, %.1f%%\"></i>",
            style, 100 * seconds / total, what, FormatSeconds(seconds), 100 * seconds / total);
        rows.push_back({Key(i) + EscapeHtml(labels_[i]),
                        absl::StrFormat("<i class=\"dot p%d\"></i> %s", style, what),
                        FormatSeconds(seconds), absl::StrFormat("%.1f%%", 100 * seconds / total)});
      };
      for (size_t part = 0; part < std::size(parts); ++part) {
        double seconds = 0;
        for (const MetricsLine& line : runs_[i].lines) seconds += line.Get(parts[part].first);
        told += seconds;
        add(parts[part].second, seconds, part);
      }
      add("the rest: start, data, files", total - told, 7);
      absl::StrAppend(&bars, runs_.size() == 1 ? "" : Tag("p", EscapeHtml(labels_[i])),
                      Tag("div", bar, "parts"));
    }
    if (rows.empty()) return;
    page_.Heading("Time");
    page_.Note("Of the learner, while the run was running.");
    page_.Add(bars);
    page_.Add("<div class=\"narrow\">");
    page_.Table({"run", "phase", "time", "share"}, rows);
    page_.Add("</div>");
  }

  const std::vector<ReportedRun>& runs_;
  const std::vector<std::string> labels_;
  HtmlPage page_;
};

}  // namespace

absl::StatusOr<ReportedRun> ReadReportedRun(const std::string& folder) {
  ReportedRun run;
  run.folder = folder;
  const std::string path = AbsolutePath(folder);
  ASSIGN_OR_RETURN(run.config, LoadConfig(path + "/config.textproto", {}));
  ASSIGN_OR_RETURN(run.results, ReadRunResults(path));
  ASSIGN_OR_RETURN(run.lines, ReadMetrics(path));
  if (absl::StatusOr<Progress> progress = ReadProgress(path); progress.ok()) {
    run.progress = *std::move(progress);
  }
  return run;
}

absl::StatusOr<std::string> ReadBrowserData(const std::string& folder, const SampleLimits& limits,
                                            std::stop_token stop) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RunReader> reader, RunReader::Open(folder, stop));
  ASSIGN_OR_RETURN(const std::vector<SampledPlan> plans, SampleRollouts(reader.get(), limits));
  if (plans.empty()) return std::string("null");
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, reader->MakeTokenizer());
  return BrowserData(plans, *tokenizer);
}

std::string RunSummary(const std::vector<ReportedRun>& runs) { return Summary(runs).Make().body(); }

std::string RunReport(const std::vector<ReportedRun>& runs) {
  const std::vector<std::string> labels = LabelsOf(runs);
  std::vector<std::string> data;
  for (const ReportedRun& run : runs) data.push_back(run.rollouts);
  const std::string title = absl::StrJoin(labels, ", ");
  HtmlPage page;
  page.Add(Tag("h1", EscapeHtml(title)));
  page.Add(RunSummary(runs));
  page.Add(kBrowserHtml);
  return page.Text({.title = absl::StrCat(title, " - Reckon"),
                    .style = kBrowserStyle,
                    .script = kBrowserScript,
                    .data = BrowserScriptData(labels, data)});
}

std::string LivePage(const std::string& title) {
  HtmlPage page;
  page.Add(Tag("h1", EscapeHtml(title)));
  page.Add("<p id=\"live\" class=\"soft\">connecting</p><div id=\"summary\"></div>");
  page.Add(kBrowserHtml);
  return page.Text({.title = absl::StrCat(title, " - Reckon"),
                    .style = kBrowserStyle,
                    .script = kBrowserScript,
                    .data = "",
                    .live = true});
}

}  // namespace reckon
