#ifndef RECKON_CLI_PROGRESS_DISPLAY_H_
#define RECKON_CLI_PROGRESS_DISPLAY_H_

#include <ostream>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/telemetry/metrics.h"

namespace reckon {

// Shows a run's progress: on a terminal one bar a phase, redrawn in place, with the summary lines
// above it; elsewhere plain lines, the bar's figures every `plain_every`. Owned by one thread.
class ProgressDisplay {
 public:
  ProgressDisplay(std::ostream* out, bool terminal, absl::Duration plain_every = absl::Seconds(20));

  // Lines of an earlier attempt, not to be shown again.
  void Forget(const Progress& progress);
  void Show(const Progress& progress, absl::Time now);
  // A line for people between the others.
  void Print(absl::string_view line);
  // Leaves the last bar where it is.
  void Finish();

 private:
  void ClearBar();

  std::ostream* const out_;
  const bool terminal_;
  const absl::Duration plain_every_;
  std::set<std::string> shown_lines_;  // a restarted learner gives its lines again
  std::string phase_;
  std::string bar_;  // on the terminal now
  absl::Time next_plain_ = absl::InfinitePast();
};

// "ei round 1: sample  [#####     ]  512/1024 samples  340 tok/s  1:23 left"; without the bar where
// `bar_width` is 0.
std::string FormatProgress(const Progress& progress, int bar_width);

// "0:05", "1:02:03".
std::string FormatSeconds(double seconds);

// "1.5 GiB", "900 B".
std::string FormatBytes(double bytes);

// "1,234".
std::string FormatCount(double count);

}  // namespace reckon

#endif  // RECKON_CLI_PROGRESS_DISPLAY_H_
