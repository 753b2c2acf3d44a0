#ifndef RECKON_CLI_SWEEP_SWEEP_DISPLAY_H_
#define RECKON_CLI_SWEEP_SWEEP_DISPLAY_H_

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/report.pb.h"

namespace reckon {

// Runs of a sweep by state.
struct SweepCounts {
  size_t finished = 0, running = 0, failed = 0, waiting = 0;

  // "3 finished, 2 running, 1 failed, 6 waiting"
  std::string Text() const;
};

// Shows the progress of a sweep. On a terminal: a line for each running run and one with the
// counts, redrawn in place below the events. Elsewhere: events as they come, and these lines every
// `plain_every`. Not thread-safe.
class SweepDisplay {
 public:
  // `columns`: width of the terminal; longer lines are cut.
  SweepDisplay(std::ostream* out, bool terminal, int columns,
               absl::Duration plain_every = absl::Seconds(60));

  // `running`: runs by name with their progress.
  void Show(const std::vector<std::pair<std::string, Progress>>& running, const SweepCounts& counts,
            absl::Time now);
  // An event, which stays.
  void Print(absl::string_view line);

 private:
  void Clear();
  void Draw();

  std::ostream* const out_;
  const bool terminal_;
  const size_t columns_;
  const absl::Duration plain_every_;
  std::vector<std::string> lines_;  // shown now, or last
  size_t drawn_ = 0;                // lines on the terminal that the next drawing replaces
  absl::Time next_plain_ = absl::InfinitePast();
};

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SWEEP_DISPLAY_H_
