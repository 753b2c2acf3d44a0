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

TEST(FormatProgress, SaysWhatTheRunWaitsFor) {
  Progress progress = Half("sample");
  progress.set_waiting_for("no actor is connected");
  EXPECT_EQ(FormatProgress(progress, 0),
            "sample  512/1,024 samples  1,340 tok/s  waiting for: no actor is connected");
  progress.set_waiting_for(std::string(500, 'x'));
  EXPECT_LT(FormatProgress(progress, 24).size(), 200u) << "a bar must not wrap";
  EXPECT_GT(FormatProgress(progress, 0).size(), 500u);
}

TEST(ProgressDisplay, PlainLinesTellOfAWaitAtOnceAndOnce) {
  std::ostringstream out;
  ProgressDisplay display(&out, false);
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

TEST(Format, SecondsBytesAndCounts) {
  EXPECT_EQ(FormatSeconds(3723), "1:02:03");
  EXPECT_EQ(FormatSeconds(-1), "?");
  EXPECT_EQ(FormatBytes(900), "900 B");
  EXPECT_EQ(FormatBytes(1.5 * (1 << 30)), "1.5 GiB");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
  EXPECT_EQ(FormatCount(123), "123");
}

TEST(ProgressDisplay, ATerminalKeepsOneBarAPhaseBelowTheLines) {
  std::ostringstream out;
  ProgressDisplay display(&out, true);
  Progress progress = Half("one");
  display.Show(progress, absl::Now());
  EXPECT_THAT(out.str(), HasSubstr("one  [####"));
  out.str("");
  display.Show(progress, absl::Now());
  EXPECT_EQ(out.str(), "") << "nothing has changed";
  progress.add_lines("step 1");
  display.Show(progress, absl::Now());
  EXPECT_THAT(out.str(), HasSubstr("\r\x1b[Kstep 1\none  ["));
  out.str("");
  display.Show(Half("two"), absl::Now());
  EXPECT_THAT(out.str(), testing::StartsWith("\ntwo"));
}

TEST(ProgressDisplay, ElsewhereItPrintsPlainLines) {
  std::ostringstream out;
  ProgressDisplay display(&out, false, absl::Seconds(10));
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
    ProgressDisplay display(&out, terminal);
    Progress progress = Half("one");
    progress.add_lines("table");
    progress.set_finished(true);
    display.Show(progress, absl::Now());
    EXPECT_EQ(out.str(), "table\n");
  }
}

TEST(ProgressDisplay, LinesOfAnEarlierAttemptAreNotShownAgain) {
  std::ostringstream out;
  ProgressDisplay display(&out, false);
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
