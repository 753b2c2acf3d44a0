#ifndef RECKON_CLI_BENCH_COORDINATOR_BENCH_H_
#define RECKON_CLI_BENCH_COORDINATOR_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"
#include "proto/config.pb.h"

namespace reckon {

struct CoordinatorBenchOptions {
  double rate = 20000;  // rollouts per second, over all streams
  uint32_t streams = 8;
  uint32_t rollout_bytes = 2048;
  double seconds = 20;
  std::string folder = ".";    // where the store is made, and removed: the disk that is measured
  uint32_t durable_every = 4;  // batches that one checkpoint covers
  std::string retention;       // ALL or SELECTED; empty: the default
  bool json = false;
};

// One second of a load test.
struct BenchSecond {
  double cpu = 0;               // cores that the coordinator used
  int64_t resident_bytes = 0;   // of it
  int64_t anonymous_bytes = 0;  // of it
  int64_t store_bytes = 0;      // on disk
};

struct CoordinatorBenchResult {
  double offered = 0;   // rollouts per second
  double achieved = 0;  // the same, from the first one's time to the last acknowledgement
  uint64_t sent = 0, acknowledged = 0, refused = 0;
  double p50_ms = 0, p99_ms = 0, p999_ms = 0, max_ms = 0;  // of acknowledgement
  double lateness_ms = 0;                                  // how late the client itself was at most
  double coordinator_cpu = 0, client_cpu = 0;              // seconds
  double sync_p50_ms = 0, sync_p99_ms = 0;  // of a synced write of one commit's size, before
  uint64_t batches = 0, fetched = 0;        // by the plan's owner
  std::vector<BenchSecond> seconds;
};

// Starts reckon-coordinator with a new store, offers rollouts at a fixed rate (load_actor.h) with a
// plan's owner beside it (load_owner.h), and ends it.
absl::StatusOr<CoordinatorBenchResult> RunCoordinatorBench(const CoordinatorBenchOptions& options,
                                                           std::stop_token stop);
// One JSON object.
std::string ToJson(const CoordinatorBenchResult& result);

// `reckon bench coordinator`.
absl::Status BenchCoordinator(const CoordinatorBenchOptions& options, std::stop_token stop);

// The flags of `reckon bench`.
CommandRun AddBench(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_BENCH_COORDINATOR_BENCH_H_
