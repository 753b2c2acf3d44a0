#include "cli/report/run_page.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "cli/page/svg_chart.h"
#include "cli/report/rollout_browser.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/telemetry/metrics.h"
#include "common/testing/temp_folder.h"
#include "common/text/message_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kAttack[] = "</script><img src=x onerror=alert(1)>";

Rollout MakeRollout(uint64_t group, uint32_t sample, double reward) {
  Rollout rollout;
  rollout.mutable_key()->set_plan("ppo_1");
  rollout.mutable_key()->set_group(group);
  rollout.mutable_key()->set_sample(sample);
  TokenSpan& prompt = *rollout.add_spans();
  prompt.set_kind(TokenSpan::PROMPT);
  prompt.add_tokens(0);
  TokenSpan& forced = *rollout.add_spans();
  forced.set_kind(TokenSpan::FORCED);
  forced.add_tokens(1);
  TokenSpan& sampled = *rollout.add_spans();
  sampled.set_kind(TokenSpan::SAMPLED);
  sampled.add_tokens(1);
  sampled.add_logprobs(-1.5);
  sampled.set_weight_version(9);
  rollout.set_reward(reward);
  RewardValue& value = *rollout.add_rewards();
  value.set_name("exact_match_strict");
  value.set_verdict(reward > 0 ? CORRECT : WRONG);
  StepValue& step = *value.add_steps();
  step.set_token(1);
  step.set_value(0.5);
  return rollout;
}

class RunPageTest : public testing::Test {
 protected:
  RunPageTest() {
    std::filesystem::create_directories(folder_ + "/eval");
    RunConfig config;
    config.set_name("grpo");
    config.mutable_model()->set_path("<b>grpo</b>");  // a text that is no HTML
    config.mutable_data()->set_train("train.jsonl");
    config.mutable_data()->set_eval("eval.jsonl");
    Stage& stage = *config.add_stage();
    stage.mutable_ppo()->set_steps(44);
    *stage.mutable_ppo()->add_reward() = RewardSpec();
    EXPECT_TRUE(WriteFileAtomically(folder_ + "/config.textproto", FormatConfig(config)).ok());
    auto metrics = MetricsWriter::Open(folder_, 0);
    EXPECT_TRUE(metrics.ok());
    EXPECT_TRUE((*metrics)
                    ->Write(0, {{"reward", 0.25},
                                {"timing_s/gen", 6},
                                {"total/num_samples", 64},
                                {"timing_s/total", 8}})
                    .ok());
    Evaluation evaluation;
    evaluation.set_name("ppo_1_step_44");
    evaluation.set_samples(4);
    evaluation.set_problems(512);
    for (Estimate* estimate : {evaluation.mutable_maj_at_1(), evaluation.mutable_maj_at_k(),
                               evaluation.mutable_pass_at_k(), evaluation.mutable_rerank_at_k()}) {
      estimate->set_value(0.277);
      estimate->set_low(0.238);
      estimate->set_high(0.314);
    }
    EXPECT_TRUE(
        WriteFileAtomically(folder_ + "/eval/0_ppo_1_step_44.json", MessageToJson(evaluation))
            .ok());
    EXPECT_TRUE((*metrics)
                    ->Write(1, {{"val/version", 1},
                                {"total/num_samples", 64},
                                {"timing_s/testing", 1},
                                {"timing_s/total", 10}})
                    .ok());
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
};

TEST_F(RunPageTest, AReportHasWhatWasRunResultsCurvesAndTime) {
  absl::StatusOr<ReportedRun> run = ReadReportedRun(folder_);
  ASSERT_TRUE(run.ok()) << run.status();
  const std::string page = RunReport({*run});
  EXPECT_THAT(page, AllOf(HasSubstr("&lt;b&gt;grpo&lt;/b&gt;"), Not(HasSubstr("<b>grpo"))));
  EXPECT_THAT(page, HasSubstr("ppo: steps 44"));
  EXPECT_THAT(page, HasSubstr("train: &quot;train.jsonl&quot;"));
  EXPECT_THAT(page, HasSubstr("27.7&nbsp;% <span class=\"soft\">[23.8, 31.4]</span>"));
  for (const char* chart : {"maj@1", "maj@K", "rerank@K", "pass@K", "Mean reward of the samples"}) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("<figcaption>", chart, "</figcaption>")));
  }
  EXPECT_THAT(page, Not(HasSubstr("<figcaption>rerank_weighted@K"))) << "it was not measured";
  EXPECT_THAT(page, HasSubstr("sampling: 0:06, 60.0%"));
  EXPECT_THAT(page, HasSubstr("the rest: start, data, files: 0:03, 30.0%"));
}

TEST_F(RunPageTest, ThePageLoadsNothingAndRunsItsOwnScriptAlone) {
  const std::string page = RunReport({*ReadReportedRun(folder_)});
  EXPECT_THAT(page, HasSubstr("default-src 'none';style-src 'unsafe-inline';script-src 'sha256-"));
  EXPECT_THAT(page, Not(HasSubstr("connect-src")));
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
  EXPECT_THAT(LivePage("run"), HasSubstr("connect-src 'self'"));
}

TEST_F(RunPageTest, TheBrowserHasItsRolloutsAndNoTextEndsItsScript) {
  SampledPlan plan = {.name = "ppo_1", .samples = 800, .groups = {}};
  plan.groups.push_back({MakeRollout(5, 0, 1), MakeRollout(5, 1, 0)});
  ReportedRun run = *ReadReportedRun(folder_);
  run.rollouts = BrowserData({plan}, TableTokenizer({"Q?", kAttack}));
  const std::string page = RunReport({run});
  EXPECT_THAT(page, Not(HasSubstr(kAttack)));

  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t from = page.find(begin) + begin.size();
  const auto data = nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from));
  const nlohmann::json& read = data["runs"][0]["plans"][0];
  EXPECT_EQ(read["samples"], 800) << "so that the page can say what was left out";
  EXPECT_EQ(read["groups"][0]["group"], 5);
  EXPECT_EQ(read["groups"][0]["prompt"], "Q?");
  ASSERT_EQ(read["groups"][0]["rollouts"].size(), 2u);
  const nlohmann::json& rollout = read["groups"][0]["rollouts"][0];
  EXPECT_EQ(rollout["verdict"], "correct");
  EXPECT_EQ(rollout["version"], 9);
  EXPECT_EQ(rollout["tokens"].size(), 2u);
  EXPECT_EQ(data["runs"][0]["texts"][rollout["tokens"][1].get<size_t>()], kAttack);
  EXPECT_EQ(rollout["logprobs"], nlohmann::json::parse("[null, -1500]"));
  EXPECT_EQ(rollout["rewards"][0]["steps"], nlohmann::json::parse("[[1, 0.5]]"));
}

// Means of seven are 0.9999999999999998 where they are summed as parts, and ticks between that and
// 1 never end.
TEST_F(RunPageTest, ACurveThatIsConstantButForRoundingHasFewTicks) {
  ReportedRun run = *ReadReportedRun(folder_);
  run.lines.clear();
  for (int step = 0; step < 1201; ++step) {
    MetricsLine& line = run.lines.emplace_back();
    line.step = step;
    line.values["reward"] = 1;
  }
  EXPECT_LT(RunReport({run}).size(), 1u << 20);
  Chart chart = {.title = "reward", .x_label = "step", .series = {{.label = "run"}}};
  for (const double y : {1 - 2e-16, 1.0, 1e300, -1e300, 5e-324}) {
    chart.series[0].points.push_back({.x = 1e15, .y = y});
    EXPECT_LT(SvgChart(chart).size(), 1u << 16) << y;
  }
}

TEST_F(RunPageTest, RunsAreComparedInOneChart) {
  ReportedRun one = *ReadReportedRun(folder_), two = one;
  two.config.set_name("ppo");
  const std::string page = RunReport({one, two});
  EXPECT_THAT(page, HasSubstr("ppo: ppo_1_step_44"));
  EXPECT_THAT(page, AllOf(HasSubstr("class=\"mark s0\""), HasSubstr("class=\"mark s1\"")));
  EXPECT_THAT(page, HasSubstr(R"({"labels":["grpo","ppo"],)"));
}

TEST_F(RunPageTest, RunsOfOneNameAreCalledByTheEndOfTheirFolders) {
  std::vector<ReportedRun> runs(5, *ReadReportedRun(folder_));
  runs[0].folder = "/x/A/grpo";
  runs[1].folder = "/x/B/grpo";
  runs[2].folder = "/y/B/grpo/";
  runs[3].folder = "/z/old";
  runs[4].config.set_name("old");
  runs[4].folder = "/z/other";
  const std::string page = RunReport(runs);
  EXPECT_THAT(page, HasSubstr(R"({"labels":["A/grpo","x/B/grpo","y/B/grpo","z/old","other"],)"));
  EXPECT_THAT(page, HasSubstr("x/B/grpo: ppo_1_step_44"));
  EXPECT_THAT(page, HasSubstr("Config of y/B/grpo</summary>"));
  EXPECT_THAT(RunReport({runs[0], runs[0]}), HasSubstr("x/A/grpo, x/A/grpo"));
}

}  // namespace
}  // namespace reckon
