#include "cli/launcher/progress_display.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

Progress Half(const std::string& phase) {
  Progress progress;
  progress.set_phase(phase);
  progress.set_done(512);
  progress.set_total(1024);
  progress.set_unit("samples");
  progress.set_tokens_per_s(1340.2);
  progress.set_elapsed_s(83);
  return progress;
}

TEST(FormatProgress, ShowsShareSpeedAndTimeLeft) {
  EXPECT_EQ(FormatProgress(Half("sample"), 4),
            "sample  [##  ]  512/1,024 samples  1,340 tok/s  1:23 left");
  Progress done = Half("sample");
  done.set_done(done.total());
  EXPECT_EQ(FormatProgress(done, 0), "sample  1,024/1,024 samples  1,340 tok/s  in 1:23");
  Progress nothing;
  nothing.set_phase("starting");
  EXPECT_EQ(FormatProgress(nothing, 10), "starting");
}

// A phase with steps, and the reward of the last ones.
Progress Steps() {
  Progress progress = Half("ppo_1");
  progress.set_unit("steps");
  progress.set_figure("reward");
  for (const double value : {0.1, 0.3, 0.2, 0.5}) progress.add_trend(value);
  return progress;
}

void AddStep(const std::string& text, Progress* progress) {
  Progress::StepLine& step = *progress->add_step_lines();
  step.set_text(text);
  step.set_after(progress->lines_size());
}

ProgressDisplay::Options Terminal(int columns) {
  ProgressDisplay::Options options;
  options.terminal = true;
  options.columns = [columns] { return columns; };
  return options;
}

TEST(FormatProgress, SaysWhatTheRunWaitsFor) {
  Progress progress = Half("sample");
  progress.set_waiting_for("no actor is connected");
  EXPECT_EQ(FormatProgress(progress, 0),
            "sample  512/1,024 samples  1,340 tok/s  waiting for: no actor is connected");
}

TEST(FormatLiveLine, ShowsFigureAndTrendAndABarWhereThereIsRoom) {
  EXPECT_EQ(FormatLiveLine(Steps(), 100),
            "ppo_1  [############            ]  512/1,024 steps  reward 0.5 ▁▄▂█  1,340 tok/s  "
            "1:23 left");
  EXPECT_EQ(FormatLiveLine(Steps(), 70),
            "ppo_1  512/1,024 steps  reward 0.5 ▁▄▂█  1,340 tok/s  1:23 left");
  EXPECT_EQ(FormatLiveLine(Steps(), 50), "ppo_1  512/1,024 steps  reward 0.5 ▁▄▂█  1:23 left");
  EXPECT_EQ(FormatLiveLine(Steps(), 20), "ppo_1  512/1,024 ...");
}

TEST(FormatLiveLine, AWaitIsCutToTheTerminal) {
  Progress progress = Steps();
  progress.set_waiting_for(std::string(500, 'x'));
  EXPECT_EQ(FormatLiveLine(progress, 80).size(), 80u);
  EXPECT_THAT(FormatLiveLine(progress, 80), HasSubstr("waiting for: xxx"));
}

TEST(ProgressDisplay, PlainLinesTellOfAWaitAtOnceAndOnce) {
  std::ostringstream out;
  ProgressDisplay display(&out, {});
  const absl::Time now = absl::Now();
  Progress progress = Half("sample");
  display.Show(progress, now);
  progress.set_waiting_for("no actor is connected");
  display.Show(progress, now);
  display.Show(progress, now);
  progress.clear_waiting_for();
  display.Show(progress, now);
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_THAT(text, HasSubstr("waiting for: no actor is connected\n"));
}

TEST(ProgressDisplay, ATerminalHasOneLineOfThePhaseBelowTheResults) {
  std::ostringstream out;
  ProgressDisplay display(&out, Terminal(100));
  Progress progress = Steps();
  AddStep("step 1", &progress);
  display.Show(progress, absl::Now());
  EXPECT_THAT(out.str(), testing::StartsWith("ppo_1  [####"));
  EXPECT_THAT(out.str(), testing::Not(HasSubstr("step 1")));
  out.str("");
  display.Show(progress, absl::Now());
  EXPECT_EQ(out.str(), "") << "nothing has changed";
  progress.add_lines("ppo_1: 4/4 steps");
  progress.set_phase("two");
  display.Show(progress, absl::Now());
  const std::string text = out.str();
  EXPECT_THAT(text, testing::StartsWith("\r\x1b[Kppo_1: 4/4 steps\n"));
  EXPECT_THAT(text.substr(text.rfind('K')), testing::StartsWith("Ktwo  ["))
      << "the bar of the phase that ended is gone";
}

TEST(ProgressDisplay, ALineThatANarrowerTerminalHasWrappedIsClearedWhole) {
  std::ostringstream out;
  int columns = 100;
  ProgressDisplay::Options options = Terminal(100);
  options.columns = [&columns] { return columns; };
  ProgressDisplay display(&out, options);
  display.Show(Half("a phase with a name that is long, so that its line has more than 80 columns"),
               absl::Now());
  out.str("");
  columns = 40;
  display.Finish();
  EXPECT_EQ(out.str(), "\r\x1b[K\x1b[A\r\x1b[K\x1b[A\r\x1b[K");
}

TEST(ProgressDisplay, StepsAreShownWhenAskedForAndWhereThereIsNoTerminal) {
  ProgressDisplay::Options verbose = Terminal(100);
  verbose.verbose = true;
  for (const ProgressDisplay::Options& options : {verbose, ProgressDisplay::Options()}) {
    std::ostringstream out;
    ProgressDisplay display(&out, options);
    Progress progress;
    progress.add_lines("first");
    AddStep("step 1", &progress);
    progress.add_lines("second");
    AddStep("step 2", &progress);
    display.Show(progress, absl::Now());
    display.Show(progress, absl::Now());
    EXPECT_EQ(out.str(), "first\nstep 1\nsecond\nstep 2\n");
  }
}

TEST(ProgressDisplay, WarningsStandOutOnATerminalAlone) {
  std::ostringstream out, plain;
  ProgressDisplay(&out, Terminal(80)).Warn("actor-0 has ended");
  ProgressDisplay(&plain, {}).Warn("actor-0 has ended");
  EXPECT_EQ(out.str(), "\x1b[1;33mactor-0 has ended\x1b[0m\n");
  EXPECT_EQ(plain.str(), "actor-0 has ended\n");
}

TEST(ProgressDisplay, ElsewhereItPrintsPlainLines) {
  std::ostringstream out;
  ProgressDisplay::Options options;
  options.plain_every = absl::Seconds(10);
  ProgressDisplay display(&out, options);
  absl::Time now = absl::UnixEpoch();
  Progress progress = Half("one");
  display.Show(progress, now);
  progress.set_done(600);
  display.Show(progress, now + absl::Seconds(5));
  progress.add_lines("step 1");
  display.Show(progress, now + absl::Seconds(6));
  display.Show(progress, now + absl::Seconds(11));
  EXPECT_EQ(out.str(),
            "one  512/1,024 samples  1,340 tok/s  1:23 left\nstep 1\n"
            "one  600/1,024 samples  1,340 tok/s  0:59 left\n");
}

TEST(ProgressDisplay, AFinishedRunHasNoBar) {
  for (bool terminal : {false, true}) {
    std::ostringstream out;
    ProgressDisplay display(&out, terminal ? Terminal(80) : ProgressDisplay::Options());
    Progress progress = Half("one");
    progress.add_lines("table");
    progress.set_finished(true);
    display.Show(progress, absl::Now());
    EXPECT_EQ(out.str(), "table\n");
  }
}

TEST(ProgressDisplay, LinesOfAnEarlierAttemptAreNotShownAgain) {
  std::ostringstream out;
  ProgressDisplay display(&out, {});
  Progress progress;
  progress.add_lines("old");
  display.Forget(progress);
  progress.add_lines("new");
  display.Show(progress, absl::Now());
  progress.mutable_lines()->RemoveLast();
  display.Show(progress, absl::Now());
  EXPECT_EQ(out.str(), "new\n");
}

}  // namespace
}  // namespace reckon
