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
#include "cli/page/html_page.h"
#include "cli/page/svg_chart.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

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
    Head(title);
    Results();
    SampleComplexity();
    LearningCurves();
    for (int i = 0; i < sweep_.grid_size(); ++i) AgainstAxis(i);
    Scaling();
    Runs();
    return page_.Text({.title = title});
  }

 private:
  void Head(const std::string& title) {
    page_.Add(Tag("h1", EscapeHtml(title)));
    if (sweep_.has_description()) page_.Add(Tag("p", EscapeHtml(sweep_.description())));
    std::map<std::string, int> states;
    for (const RunOutcome& outcome : outcomes_) states[outcome.state] += 1;
    std::string counts;
    for (const auto& [state, count] : states) {
      absl::StrAppend(&counts, counts.empty() ? "" : ", ", count, " ", state);
    }
    page_.Add(
        Tag("p",
            absl::StrCat(outcomes_.size(), " runs: ", EscapeHtml(counts), ". ", plan_.arms.size(),
                         plan_.arms.size() == 1 ? " arm, " : " arms, ", sweep_.seed_size(),
                         sweep_.seed_size() == 1
                             ? " seed: there are no intervals over seeds."
                             : " seeds. A value is the mean over seeds; ± and bands are its 95 % "
                               "interval by Student's t, which takes the seeds as independent "
                               "and near normal. Two seeds are too few for it: brackets and bands "
                               "are the lower and the higher."),
            "soft"));
    page_.Add(Tag("p", absl::StrCat("Repeat it: ", Tag("code", EscapeHtml(command_))), "soft"));
  }

  void LegendOfArms() {
    std::vector<std::pair<std::string, int>> lines;
    for (size_t i = 0; i < arms_.size(); ++i) {
      if (arms_[i].last() != nullptr) lines.emplace_back(arms_[i].label, static_cast<int>(i));
    }
    page_.Legend(lines);
  }

  void Results() {
    page_.Heading("Results");
    page_.Add(
        Tag("p",
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
    page_.Table(head, rows);
  }

  void SampleComplexity() {
    if (metrics_.empty()) return;
    page_.Heading("Sample complexity");
    page_.Add(
        Tag("p",
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
    page_.Charts(charts);
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
    page_.Heading("Learning curves");
    page_.Add(
        Tag("p",
            "One point for each round or step of sampling, and for each evaluation. Time counts "
            "while the run was running.",
            "soft"));
    LegendOfArms();
    page_.Charts(charts);
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
    page_.Heading(absl::StrCat("Against ", axis.name()));
    page_.Add(
        Tag("p",
            EscapeHtml(absl::StrCat("The last evaluation of each arm against ", axis.field(), ".")),
            "soft"));
    if (styles.size() > 1) page_.Legend({styles.begin(), styles.end()});
    page_.Charts(charts);
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
    page_.Heading("Throughput and efficiency");
    page_.Add(
        Tag("p",
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
    page_.Legend(legend);
    page_.Charts({throughput, efficiency, time});
    page_.Add("<p></p>");
    page_.Table({"arm", speed.x_label, speed.what, "speed-up", "efficiency", "seconds"}, rows);
    page_.Add("<p></p>");
  }

  void Runs() {
    page_.Heading("Runs and their commands");
    page_.Add(
        Tag("p",
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
      page_.Add(absl::StrCat(outcome.error.empty() ? "<details>" : "<details open>", inner,
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
  HtmlPage page_;
};

}  // namespace

std::string HtmlReport(const SweepFile& file, const SweepPlan& plan,
                       const std::vector<RunOutcome>& outcomes, const std::string& command,
                       SweepEngine engine) {
  return ReportPage(file, plan, outcomes, command, engine).Text();
}

}  // namespace reckon
