#include "learner/report/plan_watch.h"

#include <deque>
#include <utility>

#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {

PlanWatch::PlanWatch(Coordinator::StubInterface* stub, std::string plan, Reporter* reporter)
    : stub_(stub), plan_(std::move(plan)), reporter_(reporter), thread_([this] { Run(); }) {}

PlanWatch::~PlanWatch() {
  stop_.Stop();
  thread_.join();
}

void PlanWatch::Run() {
  // Throughput over the last few seconds: enough for several groups to finish in.
  struct Point {
    absl::Time time;
    uint64_t tokens;
  };
  std::deque<Point> recent;
  do {
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(2));
    GetStatusReply reply;
    if (!stub_->GetStatus(&context, GetStatusRequest(), &reply).ok()) continue;
    for (const PlanStatus& plan : reply.plans()) {
      if (plan.name() != plan_) continue;
      recent.push_back({absl::Now(), plan.sampled_tokens()});
      while (recent.size() > 2 && recent.back().time - recent.front().time > absl::Seconds(10)) {
        recent.pop_front();
      }
      double seconds = absl::ToDoubleSeconds(recent.back().time - recent.front().time);
      uint64_t tokens = recent.back().tokens - recent.front().tokens;
      reporter_->Update(plan.samples_accepted(), seconds > 0 ? tokens / seconds : 0);
    }
  } while (!stop_.WaitFor(absl::Milliseconds(500)));
}

}  // namespace reckon
