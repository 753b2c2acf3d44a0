#ifndef RECKON_COORDINATOR_SERVICE_COORDINATOR_METRICS_H_
#define RECKON_COORDINATOR_SERVICE_COORDINATOR_METRICS_H_

#include "common/telemetry/activity.h"
#include "common/telemetry/registry.h"
#include "coordinator/core/core.h"

namespace reckon {

// The metrics of the coordinator (docs/metrics.md). Most of them are counts that the core keeps
// anyway: they are read from it when somebody scrapes, so the events themselves pay nothing.
// Thread-safe.
struct CoordinatorMetrics {
  explicit CoordinatorMetrics(Registry* registry);
  // Those of this process.
  static CoordinatorMetrics& Process();

  // Sets everything that follows from the core's state. Called before a scrape, under the core's
  // lock: takes time in proportion to plans, actors, ranks and groups that may be leased.
  void Show(const Core& core, absl::Time now);

  enum State { kLoad, kIdle, kCommit };
  Activity activity;
  Histogram& commit_seconds;

 private:
  void ShowLedger(const Ledger& ledger);
  void ShowMembers(const GetStatusReply& status);

  // Samples by what became of them (ledger.h).
  Counter &accepted_, &duplicate_, &late_, &rejected_, &mismatched_;
  Counter &leased_, &expired_, &returned_, &set_aside_;
  Counter &accepted_tokens_, &evicted_, &set_aside_groups_;
  Gauge& leased_now_;
  // Groups by where they are.
  Gauge &leasable_, &held_back_, &at_actors_, &complete_;
  Gauge& batches_;
  Gauge &working_actors_, &idle_actors_, &waiting_actors_, &silent_actors_;
  Gauge &ranks_, &rank_silence_;
  Gauge &version_, &term_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_COORDINATOR_METRICS_H_
