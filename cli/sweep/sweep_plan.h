#ifndef RECKON_CLI_SWEEP_SWEEP_PLAN_H_
#define RECKON_CLI_SWEEP_SWEEP_PLAN_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/sweep/sweep_file.h"
#include "proto/config.pb.h"

namespace reckon {

// One run of a sweep: what `reckon train` gets, and what it will make of it.
struct SweepRun {
  std::string name;  // its folder's: "ei_K-4_s1", "start_s1"
  std::string arm;   // for humans: "ei K=4"
  // The values of the axes, in their order: {"algorithm", "ei"}, {"K", "4"}. Empty for a start.
  std::vector<std::pair<std::string, std::string>> values;
  uint64_t seed = 0;
  std::string config_path;
  std::vector<std::string> set;  // KEY=VALUE
  RunConfig config;              // resolved; its paths are absolute
  int start = -1;                // index of the run that it begins from; -1: none
  bool is_start = false;

  std::string folder() const { return config.output_dir() + "/" + config.name(); }
};

struct SweepPlan {
  std::vector<SweepRun> runs;     // a start is before the runs that begin from it
  std::vector<std::string> arms;  // the labels of all arms, in the order of the file
};

// Makes every run of the sweep and checks its config as `reckon train` does. Seeds vary slowest, so
// that a sweep that is stopped early has whole comparisons. INVALID_ARGUMENT has a line for each
// wrong arm: "file:line: arm ei K=4: stage[1].ei.rounds: ...".
absl::StatusOr<SweepPlan> PlanSweep(const SweepFile& file);

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SWEEP_PLAN_H_
