#ifndef RECKON_CLI_BENCH_LOAD_PLAN_H_
#define RECKON_CLI_BENCH_LOAD_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/rollout.pb.h"

namespace reckon {

// The plan of a load test and its rollouts, which differ in their keys alone: what the coordinator
// keeps and checks does not depend on what the tokens are.
class LoadPlan {
 public:
  static constexpr uint32_t kSamples = 8;   // of a group
  static constexpr uint32_t kGroups = 512;  // of a batch

  // Rollouts of `rollout_bytes` bytes, 512 or more. The plan lets actors hold the samples of a few
  // seconds at `rate` rollouts per second.
  LoadPlan(size_t rollout_bytes, double rate);

  const PlanSpec& spec() const { return spec_; }
  WorkItem Item(uint64_t group) const;
  // A serialized Rollout, as an actor would make it.
  std::string RolloutOf(uint64_t group, uint32_t sample) const;

 private:
  PlanSpec spec_;
  WorkItem item_;
  std::string body_;  // a serialized Rollout without its key
};

}  // namespace reckon

#endif  // RECKON_CLI_BENCH_LOAD_PLAN_H_
