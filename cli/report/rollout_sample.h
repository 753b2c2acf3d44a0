#ifndef RECKON_CLI_REPORT_ROLLOUT_SAMPLE_H_
#define RECKON_CLI_REPORT_ROLLOUT_SAMPLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/report/run_reader.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// How much of a run's rollouts a page takes.
struct SampleLimits {
  double rollouts = 2000;
  double tokens = 1.5e6;
};

// A plan and the groups of it that were taken, whole, in the order of batches.
struct SampledPlan {
  std::string name;
  uint64_t samples = 0;  // that the plan has
  std::vector<std::vector<Rollout>> groups;
};

// How many groups to take of each plan: plans get equal shares of both limits, and what a small one
// leaves over goes to the others; of each plan with a batch at least one group.
std::vector<uint64_t> ShareGroups(const std::vector<PlanStatus>& plans, const SampleLimits& limits);

// Takes groups evenly over the batches of each plan of the run, always the same ones of the same
// run. Those that are in no batch yet, or were evicted, are left out.
absl::StatusOr<std::vector<SampledPlan>> SampleRollouts(RunReader* reader,
                                                        const SampleLimits& limits);

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_ROLLOUT_SAMPLE_H_
