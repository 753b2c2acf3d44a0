#include "learner/evaluate/evaluation_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Estimate Rate(double value) {
  Estimate estimate;
  estimate.set_value(value);
  estimate.set_low(value / 2);
  estimate.set_high(value * 2);
  return estimate;
}

Evaluation Greedy(const std::string& name) {
  Evaluation evaluation;
  evaluation.set_name(name);
  evaluation.set_version(2);
  evaluation.set_problems(40);
  evaluation.set_seconds(1.5);
  *evaluation.mutable_maj_at_1() = Rate(0.25);
  (*evaluation.mutable_greedy_verdicts())["correct"] = 10;
  return evaluation;
}

Evaluation Sampled(const std::string& name) {
  Evaluation evaluation = Greedy(name);
  evaluation.set_samples(4);
  *evaluation.mutable_maj_at_k() = Rate(0.375);
  *evaluation.mutable_pass_at_k() = Rate(0.5);
  (*evaluation.mutable_pass_at())["2"] = 0.4;
  (*evaluation.mutable_sample_verdicts())["wrong"] = 90;
  evaluation.mutable_distinct_correct()->set_text(1.5);
  evaluation.mutable_distinct_correct()->set_equations(1.25);
  return evaluation;
}

Evaluation Reranked(const std::string& name) {
  Evaluation evaluation = Sampled(name);
  *evaluation.mutable_rerank_at_k() = Rate(0.125);
  *evaluation.mutable_rerank_weighted_at_k() = Rate(0.4375);
  *evaluation.mutable_rerank_gain() = Rate(0.0625);
  return evaluation;
}

std::vector<std::string> Names(const std::map<std::string, double>& metrics) {
  std::vector<std::string> names;
  for (const auto& [name, value] : metrics) names.push_back(name);
  return names;
}

TEST(EvaluationReportTest, AGreedyEvaluationHasTheMetricsOfOneSample) {
  const std::map<std::string, double> metrics = EvaluationMetrics(Greedy("start"));
  EXPECT_THAT(Names(metrics), ElementsAre("timing_s/testing", "val/greedy/correct", "val/maj@1",
                                          "val/maj@1/high", "val/maj@1/low", "val/overlong",
                                          "val/problems", "val/set_aside", "val/version"));
  EXPECT_EQ(metrics.at("val/maj@1/low"), 0.125);
  EXPECT_EQ(metrics.at("val/greedy/correct"), 10);
}

TEST(EvaluationReportTest, SamplesAndARewardModelAddTheirs) {
  const std::map<std::string, double> metrics = EvaluationMetrics(Reranked("sft_1"));
  EXPECT_EQ(metrics.at("val/K"), 4);
  EXPECT_EQ(metrics.at("val/maj@K"), 0.375);
  EXPECT_EQ(metrics.at("val/pass@K/high"), 1);
  EXPECT_EQ(metrics.at("val/pass@2"), 0.4);
  EXPECT_EQ(metrics.at("val/samples/wrong"), 90);
  EXPECT_EQ(metrics.at("val/distinct_correct/equations"), 1.25);
  EXPECT_EQ(metrics.at("val/rerank@K"), 0.125);
  EXPECT_EQ(metrics.at("val/rerank_weighted@K"), 0.4375);
  EXPECT_EQ(metrics.at("val/rerank_gain@K"), 0.0625);
  EXPECT_EQ(EvaluationMetrics(Sampled("sft_1")).count("val/rerank@K"), 0u);
}

TEST(EvaluationReportTest, TheLineNamesK) {
  EXPECT_EQ(EvaluationLine(Greedy("start")), "evaluate start: maj@1  25.0% [12.5, 50.0]  in 0:02");
  EXPECT_THAT(EvaluationLine(Reranked("sft_1")),
              HasSubstr("maj@4 37.5%  rerank@4 12.5%  pass@4 50.0%  in 0:02"));
  EXPECT_THAT(EvaluationLine(Sampled("sft_1")), Not(HasSubstr("rerank")));
}

TEST(EvaluationReportTest, TheTableHasARowAnEvaluationAndNoColumnWithoutFigures) {
  const auto rows = EvaluationTable({Sampled("start"), Reranked("orm_1")});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[0], AllOf(HasSubstr("maj@4"), HasSubstr("pass@4"), HasSubstr("rerank@4")));
  EXPECT_THAT(rows[1], AllOf(StartsWith("start "), Not(HasSubstr("12.5% "))));
  EXPECT_THAT(rows[2], AllOf(StartsWith("orm_1 "), HasSubstr("12.5% [")));
  EXPECT_THAT(rows[1], AllOf(HasSubstr("37.5% ["), HasSubstr("50.0% [")));
  EXPECT_THAT(EvaluationTable({Greedy("start")})[0], Not(HasSubstr("pass@")));
  EXPECT_EQ(EvaluationTable({}).size(), 1u);
}

TEST(EvaluationReportTest, LinesFitInto100Columns) {
  Evaluation evaluation = Reranked("ei_1_round_12");
  for (Estimate* e : {evaluation.mutable_maj_at_1(), evaluation.mutable_maj_at_k(),
                      evaluation.mutable_pass_at_k(), evaluation.mutable_rerank_at_k()}) {
    e->set_value(1);
    e->set_low(0.999);
    e->set_high(1);
  }
  evaluation.set_samples(96);
  EXPECT_LE(EvaluationLine(evaluation).size(), 100u);
  for (const std::string& row : EvaluationTable({evaluation})) EXPECT_LE(row.size(), 100u) << row;
}

TEST(EvaluationReportTest, SetsOfAMixtureHaveMetricsAndRowsOfTheirOwn) {
  Evaluation evaluation = Sampled("sft_1");
  Evaluation::Set& math = (*evaluation.mutable_sets())["math"];
  math.set_problems(7);
  math.mutable_maj_at_1()->set_value(0.25);
  math.mutable_pass_at_k()->set_value(0.75);
  math.mutable_maj_at_k()->set_value(0.5);
  (*evaluation.mutable_sets())["gsm8k"].mutable_maj_at_1()->set_value(1);
  const auto rows = EvaluationTable({evaluation});
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_THAT(rows[2], AllOf(StartsWith("sft_1/gsm8k "), HasSubstr("100.0% [")));
  EXPECT_THAT(rows[3], AllOf(StartsWith("sft_1/math "), HasSubstr("25.0% ["), HasSubstr("50.0% ["),
                             HasSubstr("75.0% [")));
  const std::map<std::string, double> metrics = EvaluationMetrics(evaluation);
  EXPECT_EQ(metrics.at("val/set/math/problems"), 7);
  EXPECT_EQ(metrics.at("val/set/math/maj@1"), 0.25);
  EXPECT_EQ(metrics.at("val/set/math/pass@K"), 0.75);
  EXPECT_EQ(metrics.count("val/set/gsm8k/pass@K"), 0u);
}

// eval.reward is the user's own and names no answers.
TEST(EvaluationReportTest, WithoutVotesThereIsNoMajorityAndANoteSaysSo) {
  Evaluation evaluation = Reranked("sft_1");
  evaluation.clear_maj_at_k();
  evaluation.clear_rerank_weighted_at_k();
  evaluation.clear_rerank_gain();
  Evaluation::Set& math = (*evaluation.mutable_sets())["math"];
  math.mutable_pass_at_k()->set_value(0.75);
  const std::map<std::string, double> metrics = EvaluationMetrics(evaluation);
  for (const char* absent :
       {"val/maj@K", "val/rerank_weighted@K", "val/rerank_gain@K", "val/set/math/maj@K"}) {
    EXPECT_EQ(metrics.count(absent), 0u) << absent;
  }
  EXPECT_EQ(metrics.at("val/rerank@K"), 0.125);
  EXPECT_EQ(metrics.at("val/set/math/pass@K"), 0.75);
  EXPECT_THAT(EvaluationLine(evaluation), AllOf(Not(HasSubstr("maj@4")), HasSubstr("pass@4")));
  EXPECT_THAT(EvaluationTable({evaluation})[1], Not(HasSubstr(" 0.0%")));
  RunConfig config;
  EXPECT_THAT(LeftOutNote(config, evaluation),
              AllOf(HasSubstr("no maj@K"), Not(HasSubstr("best_metric"))));
  config.set_best_metric("maj@K");
  EXPECT_THAT(LeftOutNote(config, evaluation), HasSubstr("best_metric maj@K finds no best"));
  EXPECT_EQ(LeftOutNote(config, Sampled("sft_1")), "");
  EXPECT_EQ(LeftOutNote(config, Greedy("start")), "");
}

TEST(EvaluationReportTest, ProblemsThatWereTooLongAreNamed) {
  Evaluation evaluation = Greedy("start");
  evaluation.set_overlong(3);
  EXPECT_THAT(EvaluationLine(evaluation), HasSubstr("3 of 40 problems too long, wrong"));
  EXPECT_THAT(EvaluationTable({evaluation})[1], HasSubstr("3 of 40 problems too long, wrong"));
}

}  // namespace
}  // namespace reckon
