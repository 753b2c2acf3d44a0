#ifndef RECKON_CLI_LAUNCHER_PROGRESS_DISPLAY_H_
#define RECKON_CLI_LAUNCHER_PROGRESS_DISPLAY_H_

#include <functional>
#include <ostream>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/telemetry/figures.h"
#include "common/telemetry/progress.h"

namespace reckon {

// Shows the progress of a run. On a terminal: the results, and below them one line of the phase
// that is redrawn in place. Elsewhere: plain lines, those of the steps too, with the numbers of the
// phase every `plain_every`, and at once when what the run waits for changes. Not thread-safe.
class ProgressDisplay {
 public:
  struct Options {
    bool terminal = false;
    bool verbose = false;                               // a terminal shows the steps' lines too
    std::function<int()> columns = [] { return 100; };  // of the terminal, now
    absl::Duration plain_every = absl::Seconds(20);
  };
  ProgressDisplay(std::ostream* out, Options options);
  // For a file descriptor of this process.
  static Options OptionsOf(int file);

  // Does not show the lines of an earlier attempt again.
  void Forget(const Progress& progress);
  void Show(const Progress& progress, absl::Time now);
  // Prints a line above that of the phase.
  void Print(absl::string_view line);
  // The same, of something that went wrong: a terminal highlights it.
  void Warn(absl::string_view line);
  // Removes the line of the phase.
  void Finish();

 private:
  void ClearLine();
  void PrintOnce(const std::string& line);

  std::ostream* const out_;
  const Options options_;
  std::set<std::string> shown_lines_;  // a restarted learner reports its lines again
  std::string phase_;
  std::string waiting_for_;
  std::string line_;      // of the phase, visible on the terminal now
  int line_columns_ = 0;  // of line_, without what colors it
  absl::Time next_plain_ = absl::InfinitePast();
};

// "ei round 1: sample  [#####     ]  512/1024 samples  340 tok/s  1:23 left", and then "  waiting
// for: no actor is connected". No bar when `bar_width` is 0.
std::string FormatProgress(const Progress& progress, int bar_width);

// The same with the phase's figure and its trend, in at most `columns` columns: what does not fit
// is left out, the bar first.
std::string FormatLiveLine(const Progress& progress, int columns);

// Columns of the terminal that a file descriptor is of; 0: of none.
int TerminalColumns(int file);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_PROGRESS_DISPLAY_H_
