#ifndef RECKON_CLI_BENCH_LOAD_OWNER_H_
#define RECKON_CLI_BENCH_LOAD_OWNER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "cli/bench/load_plan.h"
#include "common/net/plan_client.h"

namespace reckon {

// The owner of a load test's plan, as a learner is: appends groups, takes each batch with its
// rollouts, and marks it applied, and some of them durable. Runs on a thread of its own until
// Stop.
class LoadOwner {
 public:
  // `stub` and `plan` outlive it; version 0 must be published. A checkpoint covers `durable_every`
  // batches.
  LoadOwner(Coordinator::StubInterface* stub, const LoadPlan* plan, uint32_t durable_every);
  ~LoadOwner();

  // How it ended: CANCELLED after a stop is OK.
  absl::Status Stop();
  uint64_t batches() const { return batches_; }
  uint64_t rollouts() const { return rollouts_; }  // fetched

 private:
  absl::Status Run();
  absl::Status TakeBatch(uint64_t batch, bool* taken);

  Coordinator::StubInterface* const stub_;
  const LoadPlan* const plan_;
  const uint32_t durable_every_;
  std::stop_source stop_;
  PlanClient client_;
  std::atomic<uint64_t> batches_ = 0, rollouts_ = 0;
  absl::Status status_;  // of the thread
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_CLI_BENCH_LOAD_OWNER_H_
