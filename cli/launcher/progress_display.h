#ifndef RECKON_CLI_LAUNCHER_PROGRESS_DISPLAY_H_
#define RECKON_CLI_LAUNCHER_PROGRESS_DISPLAY_H_

#include <ostream>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/telemetry/progress.h"

namespace reckon {

// Shows the progress of a run. On a terminal: one bar for each phase, redrawn in place, below the
// summary lines. Elsewhere: plain lines, with the numbers of the bar every `plain_every`, and at
// once when what the run waits for changes. Not thread-safe.
class ProgressDisplay {
 public:
  ProgressDisplay(std::ostream* out, bool terminal, absl::Duration plain_every = absl::Seconds(20));

  // Does not show the lines of an earlier attempt again.
  void Forget(const Progress& progress);
  void Show(const Progress& progress, absl::Time now);
  // Prints a line above the bar.
  void Print(absl::string_view line);
  // Ends the line of the last bar, which stays visible.
  void Finish();

 private:
  void ClearBar();

  std::ostream* const out_;
  const bool terminal_;
  const absl::Duration plain_every_;
  std::set<std::string> shown_lines_;  // a restarted learner reports its lines again
  std::string phase_;
  std::string waiting_for_;
  std::string bar_;  // visible on the terminal now
  absl::Time next_plain_ = absl::InfinitePast();
};

// "ei round 1: sample  [#####     ]  512/1024 samples  340 tok/s  1:23 left", and then "  waiting
// for: no actor is connected", of which a line with a bar shows 80 characters. No bar when
// `bar_width` is 0.
std::string FormatProgress(const Progress& progress, int bar_width);

// "0:05", "1:02:03".
std::string FormatSeconds(double seconds);

// "1.5 GiB", "900 B".
std::string FormatBytes(double bytes);

// "1,234".
std::string FormatCount(double count);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_PROGRESS_DISPLAY_H_
