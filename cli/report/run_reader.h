#ifndef RECKON_CLI_REPORT_RUN_READER_H_
#define RECKON_CLI_REPORT_RUN_READER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/launcher/supervisor.h"
#include "common/base/stop.h"
#include "common/net/plan_client.h"
#include "common/text/tokenizer.h"
#include "proto/config.pb.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Reads the plans and rollouts of a run while it is in progress and after it, through a
// coordinator, the only program that opens the store: that of the run where it answers, else one
// that is started for this object and stopped with it, under the lock of the run's folder. Used by
// one thread; who follows a run opens a reader for each look, so that the run can be resumed
// between them.
class RunReader {
 public:
  // NOT_FOUND: not the folder of a run. FAILED_PRECONDITION: the run is in progress and its
  // coordinator does not answer.
  static absl::StatusOr<std::unique_ptr<RunReader>> Open(const std::string& run,
                                                         std::stop_token stop);
  ~RunReader();
  RunReader(const RunReader&) = delete;
  RunReader& operator=(const RunReader&) = delete;

  const std::string& run_dir() const { return run_dir_; }
  const RunConfig& config() const { return config_; }
  // When the reader was opened, with the finished plans.
  const GetStatusReply& status() const { return status_; }

  // Batch `batch` of a plan; nothing when it is not cut or no longer stored.
  absl::StatusOr<std::optional<BatchHeader>> Header(const std::string& plan, uint64_t batch);
  // In this order; none when one of them was evicted (coordinator.retention SELECTED).
  absl::StatusOr<std::vector<Rollout>> Fetch(const std::vector<RolloutKey>& keys);
  // Calls `each` with the rollouts of every batch of the plan in order, until it returns false.
  absl::Status ForEachBatch(const PlanStatus& plan,
                            const std::function<bool(const std::vector<Rollout>&)>& each);

  // From the newest published weights, or else the folder of version 0.
  absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer();

 private:
  RunReader(std::string run_dir, RunConfig config, std::stop_token stop);
  absl::Status Connect();
  absl::Status UseAddress(const std::string& address);
  absl::Status RefreshStatus();

  const std::string run_dir_;
  RunConfig config_;
  const std::stop_token stop_;
  int lock_ = -1;
  Supervisor supervisor_;
  std::unique_ptr<Coordinator::Stub> stub_;
  std::unique_ptr<PlanClient> plans_;
  GetStatusReply status_;
};

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_RUN_READER_H_
