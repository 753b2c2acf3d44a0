#include "cli/sweep/sweep_results.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/page/svg_chart.h"
#include "cli/sweep/html_report.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/progress.h"
#include "common/testing/temp_folder.h"
#include "common/text/message_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class SweepResultsTest : public testing::Test {
 protected:
  SweepResultsTest() {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/ei.textproto")
        << R"(data { train: "builtin" } model { path: "m" } stage { ei {} })";
  }

  void Plan(const std::string& text) {
    auto file = ParseSweep(
        folder_ + "/s.textproto",
        absl::StrCat("name: \"s\" config: \"ei.textproto\" output_dir: \"", folder_, "\" ", text));
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    auto plan = PlanSweep(file_);
    ASSERT_TRUE(plan.ok()) << plan.status();
    plan_ = *std::move(plan);
  }

  // A finished run with a round of sampling and two evaluations.
  void Finish(const SweepRun& run, double first, double last, double tokens_per_s = 100) {
    std::filesystem::create_directories(run.folder() + "/eval");
    ASSERT_TRUE(
        WriteFileAtomically(run.folder() + "/config.textproto", FormatConfig(run.config)).ok());
    auto metrics = MetricsWriter::Open(run.folder(), 0);
    ASSERT_TRUE(metrics.ok());
    auto evaluate = [&](int step, const std::string& name, double value, double samples) {
      Evaluation evaluation;
      evaluation.set_index(step / 2);
      evaluation.set_name(name);
      evaluation.set_version(1 + step / 2);
      evaluation.set_samples(4);
      evaluation.mutable_maj_at_1()->set_value(value);
      evaluation.mutable_maj_at_1()->set_low(value - 0.1);
      evaluation.mutable_maj_at_1()->set_high(value + 0.1);
      evaluation.mutable_pass_at_k()->set_value(2 * value);
      ASSERT_TRUE(
          WriteFileAtomically(absl::StrCat(run.folder(), "/eval/", step / 2, "_", name, ".json"),
                              MessageToJson(evaluation))
              .ok());
      ASSERT_TRUE((*metrics)
                      ->Write(step, {{"val/version", 1 + step / 2},
                                     {"total/num_samples", samples},
                                     {"total/num_tokens", 10 * samples},
                                     {"timing_s/total", step * 5.0}})
                      .ok());
    };
    evaluate(0, "start", first, 0);
    ASSERT_TRUE((*metrics)
                    ->Write(1, {{"num_tokens", 640},
                                {"timing_s/gen", 640 / tokens_per_s},
                                {"reward", first},
                                {"response_length/mean", 10},
                                {"total/num_samples", 64}})
                    .ok());
    evaluate(2, "ei_1_round_1", last, 64);
    Progress progress;
    progress.set_finished(true);
    ASSERT_TRUE(WriteProgress(run.folder(), progress).ok());
  }

  std::vector<RunOutcome> Outcomes(const std::map<std::string, std::string>& failures = {}) {
    auto outcomes = ReadOutcomes(plan_, failures);
    EXPECT_TRUE(outcomes.ok()) << outcomes.status();
    return *std::move(outcomes);
  }
  std::string Html(const std::map<std::string, std::string>& failures = {}) {
    return HtmlReport(file_, plan_, Outcomes(failures), "reckon sweep <s>.textproto",
                      SweepEngine::kLocal);
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
  SweepFile file_;
  SweepPlan plan_;
};

TEST_F(SweepResultsTest, TheCsvHasARowForEachEvaluationOfEachRun) {
  Plan(R"(seed_count: 2 grid { name: "K" field: "stage[0].ei.samples_per_prompt" value: "2" })");
  Finish(plan_.runs[0], 0.25, 0.5);
  const std::vector<std::string> lines =
      absl::StrSplit(ResultsCsv(plan_, Outcomes()), "\r\n", absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4);
  EXPECT_THAT(lines[0],
              StartsWith("run,arm,K,seed,state,actors,learner_ranks,sampled_tokens_per_s,"
                         "trained_tokens_per_s,evaluation,version,samples,tokens,seconds,problems,"
                         "K,maj@1,maj@1/low,maj@1/high,maj@K,"));
  EXPECT_EQ(lines[1],
            "K-2_s1,K=2,2,1,finished,1,1,100,0,start,1,0,0,0,0,4,0.25,0.15,0.35,,,,,,,,,,0.5,0,0");
  EXPECT_THAT(lines[2], HasSubstr(",ei_1_round_1,2,64,640,10,0,4,0.5,"));
  EXPECT_THAT(lines[3], StartsWith("K-2_s2,K=2,2,2,not started,1,1,0,0,,"));
}

TEST_F(SweepResultsTest, ACsvFieldWithSeparatorsIsQuoted) {
  Plan(R"(grid { name: "path" field: "model.path" value: "a,\"b\"" })");
  EXPECT_THAT(ResultsCsv(plan_, Outcomes()), HasSubstr("\"path=a,\"\"b\"\"\",\"a,\"\"b\"\"\",1,"));
}

TEST_F(SweepResultsTest, AnArmIsTheMeanOfItsSeeds) {
  Plan(R"(seed_count: 3 grid { name: "K" field: "stage[0].ei.samples_per_prompt" value: "2" })");
  Finish(plan_.runs[0], 0.25, 0.4);
  Finish(plan_.runs[1], 0.25, 0.6);
  const std::vector<ArmResults> arms =
      SummarizeArms(plan_, Outcomes({{plan_.runs[2].name, "no memory"}}));
  ASSERT_EQ(arms.size(), 1);
  EXPECT_EQ(arms[0].runs, 3);
  EXPECT_EQ(arms[0].finished, 2);
  ASSERT_EQ(arms[0].evaluations.size(), 2);
  EXPECT_EQ(arms[0].last()->name, "ei_1_round_1");
  EXPECT_EQ(arms[0].last()->samples.mean, 64);
  const SeedEstimate& maj = arms[0].last()->metrics.at("maj@1");
  EXPECT_EQ(maj.seeds, 2);
  EXPECT_DOUBLE_EQ(maj.mean, 0.5);
  EXPECT_NEAR(maj.half, 0.1, 1e-9);
  EXPECT_FALSE(arms[0].last()->metrics.contains("maj@K"));
  ASSERT_EQ(arms[0].rounds.size(), 1);
  EXPECT_EQ(arms[0].rounds[0].samples.mean, 64);
  EXPECT_EQ(arms[0].sampled_tokens_per_s.mean, 100);
}

TEST_F(SweepResultsTest, ThePageLoadsNothingAndEscapesWhatIsNotOurs) {
  Plan(R"(title: "<script>alert(1)</script>" description: "a & \"b\" </style>"
          grid { name: "path" field: "model.path" value: "x\"><img src=y onerror=z>" value: "\377" })");
  Finish(plan_.runs[0], 0.25, 0.5);
  const std::string html = Html({{plan_.runs[1].name, "<b>last words</b>"}});
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"),
                          HasSubstr("a &amp; &quot;b&quot; &lt;/style&gt;"),
                          HasSubstr("&lt;b&gt;last words&lt;/b&gt;"),
                          HasSubstr("reckon sweep &lt;s&gt;.textproto")));
  for (const char* loads : {"<script", "<img", "<link", "http:", "https:", "//", "url(", "@import",
                            "<iframe", "\377"}) {
    std::string::size_type at = html.find(loads);
    EXPECT_EQ(at, std::string::npos) << loads << ": " << html.substr(at, 80);
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST_F(SweepResultsTest, ThePageShowsMetricsAgainstSamplesAndTheCommands) {
  Plan(
      R"(seed_count: 2 grid { name: "K" field: "stage[0].ei.samples_per_prompt" value: "2" value: "4" })");
  for (const SweepRun& run : plan_.runs) Finish(run, 0.25, 0.5 + 0.01 * run.seed);
  const std::string html = Html();
  EXPECT_THAT(html, HasSubstr("maj@1 against samples drawn for training"));
  EXPECT_THAT(html, HasSubstr("pass@K against samples drawn for training"));
  EXPECT_THAT(html, HasSubstr("Against K"));
  EXPECT_THAT(html, HasSubstr("51.5 (51.0–52.0)"));
  EXPECT_THAT(html, HasSubstr("reckon train "));
  EXPECT_THAT(html, HasSubstr("--set name=K-4_s2"));
  EXPECT_THAT(html, Not(HasSubstr("Throughput and efficiency")));
}

TEST_F(SweepResultsTest, EfficiencyIsAgainstTheFewestProcesses) {
  Plan(R"(grid { field: "resources.actors" value: "1" value: "2" value: "4" })");
  Finish(plan_.runs[0], 0.25, 0.5, 100);
  Finish(plan_.runs[1], 0.25, 0.5, 180);
  Finish(plan_.runs[2], 0.25, 0.5, 240);
  const std::string html = Html();
  EXPECT_THAT(html, HasSubstr("Throughput and efficiency"));
  EXPECT_THAT(html, HasSubstr("<td>2</td><td>180</td><td>1.80</td><td>90%</td>"));
  EXPECT_THAT(html, HasSubstr("<td>4</td><td>240</td><td>2.40</td><td>60%</td>"));
}

TEST_F(SweepResultsTest, ARunOfAnotherConfigIsRefused) {
  Plan("");
  SweepRun other = plan_.runs[0];
  other.config.mutable_eval()->set_samples(9);
  Finish(other, 0.25, 0.5);
  const auto outcomes = ReadOutcomes(plan_, {});
  EXPECT_THAT(outcomes.status().message(),
              HasSubstr("was made with another config: eval.samples was 9, now 4; delete"));
}

TEST(SvgChartTest, ZeroHasAPlaceOnALogarithmicAxis) {
  Chart chart = {.title = "t", .x_label = "x", .log_x = true, .percent = true};
  chart.series = {{.label = "a", .points = {{0, 0.1, 0.1, 0.1}, {100, 0.2, 0.1, 0.3}}}};
  const std::string svg = SvgChart(chart);
  EXPECT_THAT(
      svg, AllOf(HasSubstr("class=\"gap\""), HasSubstr(">0</text>"), HasSubstr("class=\"band s0\""),
                 Not(HasSubstr("nan")), Not(HasSubstr("inf"))));
}

TEST(SvgChartTest, AnEfficiencyMayBeAboveOneAndProcessesAreWhole) {
  Chart chart = {.title = "t", .x_label = "actors", .whole_x = true, .percent = true};
  chart.series = {{.label = "a", .points = {{1, 1}, {2, 1.3}}}};
  EXPECT_THAT(SvgChart(chart), AllOf(HasSubstr(">130%</text>"), HasSubstr(">2</text>"),
                                     Not(HasSubstr(">1.5</text>"))));
  chart.series[0].points[1] = {.x = 2, .y = 0.9, .low = 0.5, .high = 1.3};
  EXPECT_THAT(SvgChart(chart), Not(HasSubstr(">110%</text>"))) << "an interval ends at 100 %";
}

TEST(SvgChartTest, NoTickIsBeyondALogarithmicAxis) {
  Chart chart = {.title = "t", .x_label = "x", .log_x = true};
  chart.series = {{.label = "a", .points = {{0, 1}, {2048, 2}}}};
  EXPECT_THAT(SvgChart(chart), AllOf(HasSubstr(">2,000</text>"), Not(HasSubstr(">3,000</text>"))));
}

TEST(SvgChartTest, WhatEqualsAnEarlierLineIsBelowIt) {
  Chart chart = {.title = "t", .x_label = "x"};
  chart.series = {{.label = "a", .style = 0, .points = {{1, 1}, {2, 2}}},
                  {.label = "b", .style = 1, .points = {{1, 1}, {2, 2}}}};
  const std::string svg = SvgChart(chart);
  EXPECT_LT(svg.find("line s1"), svg.find("line s0"));
}

TEST(SvgChartTest, OneValueAndNoneAreCharts) {
  for (const auto& points : std::vector<std::vector<ChartSeries::Point>>{
           {}, {{5, 0, 0, 0}}, {{5, 3, 3, 3}}, {{5, std::nan(""), 0, 0}}}) {
    Chart chart = {.title = "t", .x_label = "x"};
    chart.series = {{.label = "a", .points = points}};
    for (const bool log_x : {false, true}) {
      chart.log_x = log_x;
      EXPECT_THAT(SvgChart(chart), AllOf(HasSubstr("</svg>"), Not(HasSubstr("nan"))));
    }
  }
}

}  // namespace
}  // namespace reckon
