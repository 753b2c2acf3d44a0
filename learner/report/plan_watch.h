#ifndef RECKON_LEARNER_REPORT_PLAN_WATCH_H_
#define RECKON_LEARNER_REPORT_PLAN_WATCH_H_

#include <string>
#include <thread>

#include "common/base/stop.h"
#include "learner/report/reporter.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Moves the progress bar while the learner's thread waits for a plan's batches. Owns one thread,
// from construction to destruction, which asks the coordinator every 500 ms for the samples that it
// has accepted and their tokens. It polls because the coordinator has no call that streams its
// status; a poll that fails is skipped, since only the display depends on it.
class PlanWatch {
 public:
  // `stub` and `reporter` must outlive it.
  PlanWatch(Coordinator::StubInterface* stub, std::string plan, Reporter* reporter);

 private:
  void Run(const std::stop_token& stop);

  Coordinator::StubInterface* const stub_;
  const std::string plan_;
  Reporter* const reporter_;
  std::jthread thread_;  // last: uses the others; its destructor stops and joins it
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_PLAN_WATCH_H_
