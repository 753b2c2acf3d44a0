#include "cli/sweep/html_report.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "cli/launcher/progress_display.h"
#include "cli/sweep/svg_chart.h"

namespace reckon {
namespace {

// The policy lets the page load nothing at all.
constexpr const char* kPageHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline'">
)";

constexpr const char* kPageStyle = R"(
:root{--page:#f5f6f8;--card:#fff;--ink:#16191f;--soft:#59616e;--rule:#e1e4e9;--good:#14804a;--bad:#b3261e;--code:#f0f2f5}
@media(prefers-color-scheme:dark){:root{--page:#14161a;--card:#1d2026;--ink:#e8eaee;--soft:#a0a7b3;--rule:#343942;--good:#5fd39b;--bad:#ff8a80;--code:#272b33}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1440px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:19px;margin:36px 0 4px}
p{margin:4px 0 10px;max-width:86ch}
.soft{color:var(--soft)}
.cards{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 12px 8px;min-width:0}
figcaption{font-weight:600;margin:0 0 4px 4px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 12px}
.legend span{white-space:nowrap}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:8px}
table{border-collapse:collapse;width:100%}
th,td{padding:7px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule);font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft)}
tr:last-child td{border-bottom:0}
th:first-child,td:first-child,.text{text-align:left}
.best{font-weight:700}
.finished{color:var(--good)}.failed{color:var(--bad)}
details{background:var(--card);border:1px solid var(--rule);border-radius:8px;margin:8px 0;padding:8px 12px}
summary{cursor:pointer;font-weight:600}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--code);border-radius:4px;padding:2px 5px;overflow-wrap:anywhere}
pre{margin:6px 0 12px;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--code);border-radius:6px;padding:8px 10px}
pre code{padding:0;background:none}
)";

std::string Tag(const char* tag, const std::string& inner, const char* kind = "") {
  const std::string attribute = *kind == '\0' ? "" : absl::StrCat(" class=\"", kind, "\"");
  return absl::StrCat("<", tag, attribute, ">", inner, "</", tag, ">");
}

ChartSeries::Point At(const SeedEstimate& x, const SeedEstimate& y) {
  return {.x = x.mean, .y = y.mean, .low = y.low(), .high = y.high()};
}

std::string WithInterval(const SeedEstimate& estimate, bool percent) {
  if (estimate.seeds == 0) return "-";
  const auto text = [percent](double value) {
    return percent ? absl::StrFormat("%.1f", 100 * value) : FormatValue(value, false);
  };
  if (estimate.seeds == 1) return text(estimate.mean);
  if (estimate.is_range()) {
    return absl::StrCat(text(estimate.mean), " (", text(estimate.low()), "–", text(estimate.high()),
                        ")");
  }
  return absl::StrCat(text(estimate.mean), " ± ", text(estimate.half));
}

// Whether every key that the axis sets says how much a run computes with, not what.
bool OfResources(const Axis& axis) {
  auto resource = [](const std::string& key) {
    return absl::StartsWith(absl::StripLeadingAsciiWhitespace(key), "resources.");
  };
  bool all = axis.has_field() ? resource(axis.field()) : axis.point_size() > 0;
  for (const Point& point : axis.point()) {
    all &= !point.has_config() && point.set_size() > 0;
    for (const std::string& set : point.set()) all &= resource(set);
  }
  return all;
}

class ReportPage {
 public:
  ReportPage(const SweepFile& file, const SweepPlan& plan, const std::vector<RunOutcome>& outcomes,
             const std::string& command, SweepEngine engine)
      : sweep_(file.sweep),
        plan_(plan),
        outcomes_(outcomes),
        command_(command),
        engine_(engine),
        arms_(SummarizeArms(plan, outcomes)) {
    for (const Axis& axis : sweep_.grid()) of_resources_.push_back(OfResources(axis));
    for (const char* metric : kReportMetrics) {
      for (const ArmResults& arm : arms_) {
        if (arm.last() != nullptr && arm.last()->metrics.contains(metric)) {
          metrics_.push_back(metric);
          break;
        }
      }
    }
    std::set<uint32_t> actors, ranks;
    for (const ArmResults& arm : arms_) {
      actors.insert(arm.actors);
      ranks.insert(arm.ranks);
    }
    many_actors_ = actors.size() > 1;
    many_ranks_ = ranks.size() > 1;
  }

  std::string Text() {
    const std::string title = sweep_.has_title() ? sweep_.title() : sweep_.name();
    out_ = absl::StrCat(kPageHead, "<title>", EscapeHtml(title), "</title><style>", kPageStyle,
                        kChartStyle, "</style></head><body><main>");
    Head(title);
    Results();
    SampleComplexity();
    LearningCurves();
    for (int i = 0; i < sweep_.grid_size(); ++i) AgainstAxis(i);
    Scaling();
    Runs();
    return out_ + "</main></body></html>\n";
  }

 private:
  void Add(const std::string& text) { out_ += text; }

  void Head(const std::string& title) {
    Add(Tag("h1", EscapeHtml(title)));
    if (sweep_.has_description()) Add(Tag("p", EscapeHtml(sweep_.description())));
    std::map<std::string, int> states;
    for (const RunOutcome& outcome : outcomes_) states[outcome.state] += 1;
    std::string counts;
    for (const auto& [state, count] : states) {
      absl::StrAppend(&counts, counts.empty() ? "" : ", ", count, " ", state);
    }
    Add(Tag("p",
            absl::StrCat(outcomes_.size(), " runs: ", EscapeHtml(counts), ". ", plan_.arms.size(),
                         plan_.arms.size() == 1 ? " arm, " : " arms, ", sweep_.seed_size(),
                         sweep_.seed_size() == 1
                             ? " seed: there are no intervals over seeds."
                             : " seeds. A value is the mean over seeds; ± and bands are its 95 % "
                               "interval by Student's t, which takes the seeds as independent "
                               "and near normal. Two seeds are too few for it: brackets and bands "
                               "are the lower and the higher."),
            "soft"));
    Add(Tag("p", absl::StrCat("Repeat it: ", Tag("code", EscapeHtml(command_))), "soft"));
  }

  void Legend(const std::vector<std::pair<std::string, int>>& lines) {
    std::string inner;
    for (const auto& [label, style] : lines) {
      absl::StrAppend(&inner, Tag("span", absl::StrCat(SvgKey(style), " ", EscapeHtml(label))));
    }
    Add(Tag("div", inner, "legend"));
  }
  void LegendOfArms() {
    std::vector<std::pair<std::string, int>> lines;
    for (size_t i = 0; i < arms_.size(); ++i) {
      if (arms_[i].last() != nullptr) lines.emplace_back(arms_[i].label, static_cast<int>(i));
    }
    Legend(lines);
  }

  // Charts side by side. One without a point is left out.
  void Charts(const std::vector<Chart>& charts) {
    std::string inner;
    for (const Chart& chart : charts) {
      size_t points = 0;
      for (const ChartSeries& series : chart.series) points += series.points.size();
      if (points == 0) continue;
      absl::StrAppend(&inner, Tag("figure", absl::StrCat(Tag("figcaption", EscapeHtml(chart.title)),
                                                         SvgChart(chart))));
    }
    Add(Tag("div", inner, "cards"));
  }

  void Table(const std::vector<std::string>& head,
             const std::vector<std::vector<std::string>>& rows) {
    std::string inner = "<tr>";
    for (const std::string& cell : head) absl::StrAppend(&inner, Tag("th", cell));
    inner += "</tr>";
    for (const auto& row : rows) {
      inner += "<tr>";
      for (const std::string& cell : row) absl::StrAppend(&inner, Tag("td", cell));
      inner += "</tr>";
    }
    Add(Tag("div", Tag("table", inner), "wide"));
  }

  void Results() {
    Add(Tag("h2", "Results"));
    Add(Tag("p",
            "The last evaluation of each arm, in %. Samples are those drawn for training until "
            "then; evaluations are not counted, nor what a start has drawn. Bold: the highest "
            "mean of a column.",
            "soft"));
    std::vector<std::string> head = {"arm"};
    std::map<std::string, double> best;
    for (const std::string& metric : metrics_) {
      head.push_back(metric);
      for (const ArmResults& arm : arms_) {
        if (arm.last() == nullptr || !arm.last()->metrics.contains(metric)) continue;
        const double mean = arm.last()->metrics.at(metric).mean;
        best[metric] = std::max(best.try_emplace(metric, mean).first->second, mean);
      }
    }
    head.insert(head.end(), {"samples", "evaluation", "finished"});
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < arms_.size(); ++i) {
      const ArmResults& arm = arms_[i];
      std::vector<std::string> row = {
          absl::StrCat(SvgKey(static_cast<int>(i)), " ", EscapeHtml(arm.label))};
      for (const std::string& metric : metrics_) {
        if (arm.last() == nullptr || !arm.last()->metrics.contains(metric)) {
          row.push_back("-");
          continue;
        }
        const SeedEstimate& value = arm.last()->metrics.at(metric);
        row.push_back(Tag("span", WithInterval(value, true),
                          arms_.size() > 1 && value.mean == best[metric] ? "best" : ""));
      }
      row.push_back(arm.last() == nullptr ? "-" : FormatCount(arm.last()->samples.mean));
      row.push_back(arm.last() == nullptr ? "-" : EscapeHtml(arm.last()->name));
      row.push_back(absl::StrCat(arm.finished, "/", arm.runs));
      rows.push_back(std::move(row));
    }
    Table(head, rows);
  }

  void SampleComplexity() {
    if (metrics_.empty()) return;
    Add(Tag("h2", "Sample complexity"));
    Add(Tag("p",
            "Each metric against the samples drawn for training, on a logarithmic axis; 0 is the "
            "evaluation before any.",
            "soft"));
    LegendOfArms();
    std::vector<Chart> charts;
    for (const std::string& metric : metrics_) {
      Chart& chart = charts.emplace_back();
      chart = {
          .title = metric, .x_label = "samples drawn for training", .log_x = true, .percent = true};
      for (size_t i = 0; i < arms_.size(); ++i) {
        ChartSeries& line = chart.series.emplace_back();
        line.label = arms_[i].label;
        line.style = static_cast<int>(i);
        for (const ArmResults::Point& point : arms_[i].evaluations) {
          const auto value = point.metrics.find(metric);
          if (value != point.metrics.end()) {
            line.points.push_back(At(point.samples, value->second));
          }
        }
      }
    }
    Charts(charts);
  }

  void LearningCurves() {
    std::vector<Chart> charts(3);
    charts[0] = {.title = "Mean reward of the samples", .x_label = "samples drawn for training"};
    charts[1] = {.title = "Length of the samples, tokens", .x_label = "samples drawn for training"};
    charts[2] = {.title = absl::StrCat(sweep_.metric(), " against time"),
                 .x_label = "seconds of the run",
                 .percent = true};
    size_t points = 0;
    for (size_t i = 0; i < arms_.size(); ++i) {
      for (Chart& chart : charts) {
        chart.series.push_back({.label = arms_[i].label, .style = static_cast<int>(i)});
      }
      for (const ArmResults::Round& round : arms_[i].rounds) {
        charts[0].series.back().points.push_back(At(round.samples, round.reward));
        charts[1].series.back().points.push_back(At(round.samples, round.length));
        ++points;
      }
      for (const ArmResults::Point& point : arms_[i].evaluations) {
        const auto value = point.metrics.find(sweep_.metric());
        if (value == point.metrics.end()) continue;
        charts[2].series.back().points.push_back(At(point.seconds, value->second));
        ++points;
      }
    }
    if (points == 0) return;
    Add(Tag("h2", "Learning curves"));
    Add(Tag("p",
            "One point for each round or step of sampling, and for each evaluation. Time counts "
            "while the run was running.",
            "soft"));
    LegendOfArms();
    Charts(charts);
  }

  // The arm without the axes for which `leave_out` holds, as a label.
  template <typename LeaveOut>
  std::string Rest(const ArmResults& arm, LeaveOut leave_out) const {
    std::string label;
    for (size_t i = 0; i < arm.values.size(); ++i) {
      const auto& [axis, value] = arm.values[i];
      if (leave_out(i)) continue;
      absl::StrAppend(
          &label, label.empty() ? "" : " ",
          sweep_.grid(static_cast<int>(i)).has_field() ? absl::StrCat(axis, "=", value) : value);
    }
    return label;
  }

  // Metrics of the last evaluation against an axis whose values are numbers.
  void AgainstAxis(int index) {
    const Axis& axis = sweep_.grid(index);
    if (of_resources_[index] || axis.value_size() < 2) return;
    double low = 1e300, high = 0;
    for (const std::string& text : axis.value()) {
      double value = 0;
      if (!absl::SimpleAtod(text, &value) || value <= 0) return;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    std::vector<Chart> charts;
    std::map<std::string, int> styles;
    for (const std::string& metric : metrics_) {
      Chart& chart = charts.emplace_back();
      chart = {.title = metric, .x_label = axis.name(), .log_x = high / low >= 8, .percent = true};
      std::map<std::string, ChartSeries> lines;
      for (const ArmResults& arm : arms_) {
        if (arm.last() == nullptr || !arm.last()->metrics.contains(metric)) continue;
        std::string label = Rest(arm, [&](size_t i) { return static_cast<int>(i) == index; });
        if (label.empty()) label = sweep_.name();
        ChartSeries& line = lines[label];
        line.label = label;
        line.style = styles.try_emplace(label, static_cast<int>(styles.size())).first->second;
        double x = 0;
        (void)absl::SimpleAtod(arm.values[index].second, &x);
        const SeedEstimate& y = arm.last()->metrics.at(metric);
        line.points.push_back({.x = x, .y = y.mean, .low = y.low(), .high = y.high()});
      }
      for (auto& [label, line] : lines) AddSorted(std::move(line), &chart);
    }
    if (styles.empty()) return;
    Add(Tag("h2", EscapeHtml(absl::StrCat("Against ", axis.name()))));
    Add(Tag("p",
            EscapeHtml(absl::StrCat("The last evaluation of each arm against ", axis.field(), ".")),
            "soft"));
    if (styles.size() > 1) Legend({styles.begin(), styles.end()});
    Charts(charts);
  }

  static void AddSorted(ChartSeries line, Chart* chart) {
    std::sort(line.points.begin(), line.points.end(),
              [](const auto& a, const auto& b) { return a.x < b.x; });
    chart->series.push_back(std::move(line));
  }

  // One speed against the number of processes that make it.
  struct Speed {
    std::string what, x_label;
    uint32_t ArmResults::* processes;
    uint32_t ArmResults::* others;
    const char* others_name;
    bool many_others;
    SeedEstimate ArmResults::* value;
  };

  void Scaling() {
    if (!many_actors_ && !many_ranks_) return;
    Add(Tag("h2", "Throughput and efficiency"));
    Add(Tag("p",
            "Sampled tokens/s: tokens of training samples by the time that the learner waited for "
            "them. "
            "Trained tokens/s: tokens by the time of updates. Speed-up is against the arm with "
            "fewest processes that is equal otherwise; efficiency is speed-up by the factor of "
            "processes, 100 % being ideal.",
            "soft"));
    std::vector<Speed> speeds;
    if (many_actors_) {
      speeds.push_back({"Sampled tokens/s", "actors", &ArmResults::actors, &ArmResults::ranks,
                        "ranks", many_ranks_, &ArmResults::sampled_tokens_per_s});
    }
    if (many_ranks_) {
      speeds.push_back({"Trained tokens/s", "learner ranks", &ArmResults::ranks,
                        &ArmResults::actors, "actors", many_actors_,
                        &ArmResults::trained_tokens_per_s});
    }
    for (const Speed& speed : speeds) ScalingOf(speed);
  }

  void ScalingOf(const Speed& speed) {
    std::map<std::string, std::vector<const ArmResults*>> lines;
    for (const ArmResults& arm : arms_) {
      if ((arm.*speed.value).seeds == 0) continue;
      std::string label = Rest(arm, [&](size_t i) { return bool{of_resources_[i]}; });
      if (speed.many_others) {
        absl::StrAppend(&label, label.empty() ? "" : " ", speed.others_name, "=",
                        arm.*speed.others);
      }
      if (label.empty()) label = sweep_.name();
      lines[label].push_back(&arm);
    }
    if (lines.empty()) return;
    Chart throughput = {
        .title = speed.what, .x_label = speed.x_label, .whole_x = true, .from_zero = true};
    Chart efficiency = {.title = absl::StrCat("Efficiency of ", speed.x_label),
                        .x_label = speed.x_label,
                        .whole_x = true,
                        .percent = true,
                        .from_zero = true};
    Chart time = {.title = "Seconds of the run",
                  .x_label = speed.x_label,
                  .whole_x = true,
                  .from_zero = true};
    std::vector<std::vector<std::string>> rows;
    std::vector<std::pair<std::string, int>> legend;
    for (auto& [label, arms] : lines) {
      std::sort(arms.begin(), arms.end(),
                [&](auto* a, auto* b) { return a->*speed.processes < b->*speed.processes; });
      const int style = static_cast<int>(legend.size());
      legend.emplace_back(label, style);
      for (Chart* chart : {&throughput, &efficiency, &time}) {
        chart->series.push_back({.label = label, .style = style});
      }
      const double first = (arms[0]->*speed.value).mean;
      for (const ArmResults* arm : arms) {
        const double n = arm->*speed.processes;
        const SeedEstimate& value = arm->*speed.value;
        const double speed_up = value.mean / first;
        const double share = speed_up * (arms[0]->*speed.processes) / n;
        throughput.series.back().points.push_back(
            {.x = n, .y = value.mean, .low = value.low(), .high = value.high()});
        efficiency.series.back().points.push_back({.x = n, .y = share});
        time.series.back().points.push_back({.x = n,
                                             .y = arm->seconds.mean,
                                             .low = arm->seconds.low(),
                                             .high = arm->seconds.high()});
        rows.push_back({EscapeHtml(label), absl::StrCat(n), WithInterval(value, false),
                        absl::StrFormat("%.2f", speed_up), absl::StrFormat("%.0f%%", 100 * share),
                        WithInterval(arm->seconds, false)});
      }
    }
    Legend(legend);
    Charts({throughput, efficiency, time});
    Add("<p></p>");
    Table({"arm", speed.x_label, speed.what, "speed-up", "efficiency", "seconds"}, rows);
    Add("<p></p>");
  }

  void Runs() {
    Add(Tag("h2", "Runs and their commands"));
    Add(Tag("p",
            "Typed in the folder in which the sweep was started. A run that begins from a start "
            "needs that one first.",
            "soft"));
    for (size_t i = 0; i < plan_.runs.size(); ++i) {
      const SweepRun& run = plan_.runs[i];
      const RunOutcome& outcome = outcomes_[i];
      const char* kind = outcome.state == "finished" ? "finished"
                         : outcome.state == "failed" ? "failed"
                                                     : "soft";
      std::string inner = absl::StrCat("<summary>", EscapeHtml(run.name), " ",
                                       Tag("span", EscapeHtml(outcome.state), kind), "</summary>");
      if (!outcome.error.empty())
        absl::StrAppend(&inner, Tag("p", EscapeHtml(outcome.error), "failed"));
      absl::StrAppend(&inner, Tag("pre", Tag("code", EscapeHtml(RunCommandLine(run, engine_)))));
      Add(absl::StrCat(outcome.error.empty() ? "<details>" : "<details open>", inner,
                       "</details>"));
    }
  }

  const Sweep& sweep_;
  const SweepPlan& plan_;
  const std::vector<RunOutcome>& outcomes_;
  const std::string& command_;
  const SweepEngine engine_;
  const std::vector<ArmResults> arms_;
  std::vector<std::string> metrics_;  // that any arm has
  std::vector<bool> of_resources_;    // by axis
  bool many_actors_ = false, many_ranks_ = false;
  std::string out_;
};

}  // namespace

std::string HtmlReport(const SweepFile& file, const SweepPlan& plan,
                       const std::vector<RunOutcome>& outcomes, const std::string& command,
                       SweepEngine engine) {
  return ReportPage(file, plan, outcomes, command, engine).Text();
}

}  // namespace reckon
