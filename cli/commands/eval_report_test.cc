#include "cli/commands/eval_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Table(const EvalOptions& options, const EvalOutcome* sampled = nullptr) {
  testing::internal::CaptureStdout();
  PrintEvalTable(options, 1, 0, {}, EvalOutcome(), sampled);
  return testing::internal::GetCapturedStdout();
}

TEST(EvalReportTest, NamesWhatToldRightFromWrong) {
  EvalOptions options;
  EXPECT_THAT(Table(options), HasSubstr("strict answers"));
  options.reward = "flexible";
  EXPECT_THAT(Table(options), HasSubstr("flexible answers"));
  options.reward = "strict";
  for (const char* answers : {"boxed", "text"}) {
    options.answers = answers;
    EXPECT_THAT(Table(options), HasSubstr(std::string(answers) + " answers"));
  }
  options.command = "python3 own.py";
  EXPECT_THAT(Table(options), HasSubstr("verdicts by python3 own.py"));
}

TEST(EvalReportTest, SaysThatNobodyVoted) {
  EvalOptions options;
  options.command = "own";
  options.samples = 4;
  Rollout right;
  right.add_rewards()->set_verdict(CORRECT);
  EvalOutcome sampled{.metrics = GroupMetrics(RewardSpec::PROCESS)};
  sampled.metrics.AddGroup({right});
  EXPECT_THAT(Table(options, &sampled), HasSubstr("no maj@4: the program replies with no"));
  right.mutable_rewards(0)->set_extracted("7");
  sampled.metrics.AddGroup({right});
  EXPECT_THAT(Table(options, &sampled), Not(HasSubstr("no maj@4")));
}

}  // namespace
}  // namespace reckon
