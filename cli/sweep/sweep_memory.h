#ifndef RECKON_CLI_SWEEP_SWEEP_MEMORY_H_
#define RECKON_CLI_SWEEP_SWEEP_MEMORY_H_

#include <string>
#include <vector>

#include "cli/sweep/sweep_plan.h"

namespace reckon {

// The memory that a run takes, from shapes alone (cli/estimate/).
struct RunMemory {
  double actor = 0, rank = 0;  // bytes of one process; 0: not known
  double total = 0;            // of all actors and ranks
  bool on_gpu = false;
  std::string unknown;  // why it is not known; "" when it is

  // "2 actors of 300 MiB, 1 rank of 120 MiB: 720 MiB".
  std::string Text(const RunConfig& config) const;
};

// One for each run of the plan. The model of a run that begins from another is that of the other,
// as long as its own folder does not exist.
std::vector<RunMemory> PlanRunMemory(const SweepPlan& plan);

// The most that `parallel` of the runs take together on one machine, bytes.
double MostAtOnce(const std::vector<RunMemory>& runs, size_t parallel);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SWEEP_MEMORY_H_
