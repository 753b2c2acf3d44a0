#ifndef RECKON_LEARNER_REPORT_PLAN_WATCH_H_
#define RECKON_LEARNER_REPORT_PLAN_WATCH_H_

#include <string>
#include <thread>

#include "common/base/stop_token.h"
#include "learner/report/reporter.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Shows how far a plan is while it runs: asks the coordinator twice a second for the samples it
// accepted and their tokens. Owns one thread, from construction to destruction.
class PlanWatch {
 public:
  PlanWatch(Coordinator::StubInterface* stub, std::string plan, Reporter* reporter);
  ~PlanWatch();

 private:
  void Run();

  Coordinator::StubInterface* const stub_;
  const std::string plan_;
  Reporter* const reporter_;
  StopToken stop_;
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_PLAN_WATCH_H_
