#include "learner/report/reporter.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/telemetry/metrics_file.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ReporterTest : public testing::Test {
 protected:
  std::unique_ptr<Reporter> Open(int64_t step = 0, std::vector<std::string> lines = {}) {
    auto reporter = Reporter::Create(run_dir_, step, std::move(lines));
    EXPECT_TRUE(reporter.ok()) << reporter.status();
    return *std::move(reporter);
  }
  Progress Shown() { return *ReadProgress(run_dir_); }

  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
};

TEST_F(ReporterTest, MetricsContinueAtTheGivenStep) {
  const auto reporter = Open(7);
  EXPECT_EQ(reporter->step(), 7);
  ASSERT_TRUE(reporter->Write({{"loss", 0.5}}).ok());
  ASSERT_TRUE(reporter->Write({{"loss", 0.25}}).ok());
  EXPECT_EQ(reporter->step(), 9);
  const std::string text = *ReadFile(run_dir_ + "/metrics.jsonl");
  EXPECT_THAT(text, HasSubstr("{\"step\":7,"));
  EXPECT_THAT(text, HasSubstr("{\"step\":8,"));
}

TEST_F(ReporterTest, TotalsContinueFromTheLineBeforeTheStep) {
  {
    const auto reporter = Open();
    reporter->CountSamples(8, 100);
    ASSERT_TRUE(reporter->Write({{"reward", 0.5}}).ok());
    reporter->CountSamples(8, 50);
    ASSERT_TRUE(reporter->Write({{"reward", 0.5}}).ok());
  }
  const auto reporter = Open(1);  // the second line is written again
  reporter->CountSamples(8, 60);
  ASSERT_TRUE(reporter->Write({{"reward", 0.5}}).ok());
  const std::vector<MetricsLine> lines = *ReadMetrics(run_dir_);
  ASSERT_EQ(lines.size(), 2);
  EXPECT_EQ(lines[0].Get("total/num_samples"), 8);
  EXPECT_EQ(lines[1].Get("total/num_samples"), 16);
  EXPECT_EQ(lines[1].Get("total/num_tokens"), 160);
  EXPECT_GE(lines[1].Get("timing_s/total"), lines[0].Get("timing_s/total"));
}

TEST_F(ReporterTest, WhatEndsAfterItsLineIsInTheNextLineAlone) {
  const auto reporter = Open();
  ASSERT_TRUE(reporter->Write({{"reward", 0.5}}).ok());
  reporter->AddToNext({{"timing_s/pack_weights", 1}});
  reporter->AddToNext({{"timing_s/pack_weights", 2}});
  ASSERT_TRUE(reporter->Write({{"reward", 0.75}}).ok());
  ASSERT_TRUE(reporter->Write({{"reward", 1}}).ok());
  const std::vector<MetricsLine> lines = *ReadMetrics(run_dir_);
  ASSERT_EQ(lines.size(), 3);
  EXPECT_FALSE(lines[0].Has("timing_s/pack_weights"));
  EXPECT_EQ(lines[1].Get("timing_s/pack_weights"), 2) << "the newest";
  EXPECT_EQ(lines[1].Get("reward"), 0.75);
  EXPECT_FALSE(lines[2].Has("timing_s/pack_weights"));
}

TEST_F(ReporterTest, APhaseStartsAtZeroAndAFastUpdateWaitsForTheNextWrite) {
  const auto reporter = Open();
  const absl::Time begin = absl::Now();
  reporter->BeginPhase("one", 4, "samples");
  reporter->Update(3, 100);
  const double done = Shown().done();
  if (absl::Now() - begin < absl::Milliseconds(50)) {  // else the disk is slow
    EXPECT_EQ(done, 0);
  }
  reporter->AddLine("summary");  // written at once, with the update
  EXPECT_EQ(Shown().done(), 3);
  EXPECT_EQ(Shown().tokens_per_s(), 100);
  reporter->BeginPhase("two", 8, "steps");
  EXPECT_EQ(Shown().phase(), "two");
  EXPECT_EQ(Shown().done(), 0);
  EXPECT_EQ(Shown().total(), 8);
  EXPECT_EQ(Shown().unit(), "steps");
  EXPECT_EQ(Shown().tokens_per_s(), 0);
  EXPECT_FALSE(Shown().finished());
}

TEST_F(ReporterTest, LinesFollowThoseOfTheEarlierAttempt) {
  const auto reporter = Open(0, {"earlier"});
  reporter->AddLine("later");
  EXPECT_THAT(reporter->lines(), ElementsAre("earlier", "later"));
  EXPECT_THAT(Shown().lines(), ElementsAre("earlier", "later"));
}

TEST_F(ReporterTest, APhaseWithStepsLeavesALineWithItsFigure) {
  const auto reporter = Open();
  reporter->BeginPhase("sft_1: train", 2, "steps");
  reporter->AddStep("step 1", "loss", 2.5);
  reporter->AddStep("step 2", "loss", 1.25);
  reporter->Update(2, 100);
  reporter->BeginPhase("evaluate", 4, "samples");  // written at once
  EXPECT_THAT(reporter->lines(),
              ElementsAre("sft_1: train: 2/2 steps  loss 1.25  100 tok/s  in 0:00"));
  EXPECT_EQ(Shown().figure(), "");
  ASSERT_EQ(Shown().step_lines_size(), 2);
  EXPECT_EQ(Shown().step_lines(1).text(), "step 2");
  EXPECT_EQ(Shown().step_lines(1).after(), 0u);
  reporter->Finish();
  EXPECT_EQ(reporter->lines().size(), 1u) << "the evaluation has no steps";
}

TEST_F(ReporterTest, StepsAreKeptWithinABound) {
  const auto reporter = Open();
  reporter->BeginPhase("one", 4, "steps");
  for (int i = 0; i < 1000; ++i) reporter->AddStep(absl::StrCat("step ", i), "loss", i);
  reporter->AddLine("line");
  EXPECT_LT(Shown().step_lines_size(), 300);
  EXPECT_EQ(Shown().step_lines().rbegin()->text(), "step 999");
  EXPECT_EQ(*Shown().trend().rbegin(), 999);
}

TEST_F(ReporterTest, AFinishedRunIsFullAndSaysSo) {
  const auto reporter = Open();
  reporter->BeginPhase("one", 4, "samples");
  reporter->Finish();
  EXPECT_TRUE(Shown().finished());
  EXPECT_EQ(Shown().done(), 4);
}

TEST_F(ReporterTest, AWaitIsShownAtOnceUntilItEnds) {
  const auto reporter = Open();
  reporter->BeginPhase("one", 4, "samples");
  reporter->SetWaitingFor("the coordinator does not answer");
  EXPECT_EQ(Shown().waiting_for(), "the coordinator does not answer");
  reporter->SetWaitingFor("");
  EXPECT_EQ(Shown().waiting_for(), "");
}

TEST_F(ReporterTest, ASilentOneCountsStepsAndLinesButWritesNothing) {
  const auto reporter = Reporter::Silent();
  reporter->BeginPhase("one", 4, "samples");
  reporter->AddLine("line");
  ASSERT_TRUE(reporter->Write({{"loss", 0.5}}).ok());
  reporter->Finish();
  EXPECT_EQ(reporter->step(), 1);
  EXPECT_THAT(reporter->lines(), ElementsAre("line"));
  EXPECT_TRUE(std::filesystem::is_empty(run_dir_));
}

TEST_F(ReporterTest, ProgressThatCannotBeWrittenDoesNotEndTheRun) {
  const auto reporter = Open();
  std::filesystem::remove_all(run_dir_);
  reporter->BeginPhase("one", 4, "samples");
  reporter->AddLine("line");
  EXPECT_THAT(reporter->lines(), ElementsAre("line"));
}

}  // namespace
}  // namespace reckon
