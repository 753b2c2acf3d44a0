#ifndef RECKON_CLI_BENCH_LOAD_ACTOR_H_
#define RECKON_CLI_BENCH_LOAD_ACTOR_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cli/bench/load_plan.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// An actor that submits rollouts at a fixed rate over one stream, whatever the coordinator does:
// rollout i is due at start + i / rate. Its latency is from that time to its acknowledgement, so
// that time during which the coordinator takes nothing counts for every rollout that was due in it
// (an open loop: no coordinated omission).
//
//   leasing thread   keeps samples in hand
//   sending thread   once a millisecond writes the rollouts that are due, in one message
//   reading thread   notes each acknowledgement's latency
//
// Owned by CoordinatorBench. Start and Finish once each.
class LoadActor {
 public:
  struct Options {
    std::string name;
    double rate = 0;        // rollouts per second
    uint64_t rollouts = 0;  // to submit
  };
  struct Result {
    std::vector<float> latencies;  // seconds, of acknowledged rollouts
    uint64_t sent = 0;
    uint64_t refused = 0;  // acknowledged, but not as accepted
    double lateness = 0;   // seconds: how late a rollout was sent at most, the client's own part
    absl::Status status;   // of the stream
  };

  // `stub` and `plan` outlive it. It leases from here on.
  LoadActor(Coordinator::StubInterface* stub, const LoadPlan* plan, Options options);
  ~LoadActor();

  // Waits until it has samples for half a second. False after `timeout`.
  bool WaitForWork(absl::Duration timeout);
  void Start(absl::Time start);
  // Waits until everything is acknowledged, or until `deadline`.
  Result Finish(absl::Time deadline);

 private:
  struct Sample {
    uint64_t lease = 0, group = 0;
    uint32_t sample = 0;
  };

  void Lease();
  void Send(absl::Time start);
  void Read();
  // Adds the rollout that was due then. False when it must end.
  bool Add(absl::Time due, SubmitRequest* request);
  // Nothing when it must end.
  bool TakeSample(Sample* sample);
  bool WantsWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopped_ || samples_.size() < ahead_;
  }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopped_ || !samples_.empty(); }
  bool HasAhead() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return samples_.size() >= ahead_; }
  bool IsDone() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return done_; }

  Coordinator::StubInterface* const stub_;
  const LoadPlan* const plan_;
  const Options options_;
  const size_t ahead_;  // samples in hand
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriterInterface<SubmitRequest, SubmitReply>> stream_;

  absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;  // everything is acknowledged, or the stream has ended
  std::deque<Sample> samples_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Time> due_ ABSL_GUARDED_BY(mu_);  // of rollouts that are not acknowledged
  Result result_ ABSL_GUARDED_BY(mu_);

  std::thread leasing_, sending_, reading_;
};

}  // namespace reckon

#endif  // RECKON_CLI_BENCH_LOAD_ACTOR_H_
