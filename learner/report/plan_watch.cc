#include "learner/report/plan_watch.h"

#include <deque>
#include <utility>

#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

constexpr absl::Duration kPollEvery = absl::Milliseconds(500);
constexpr absl::Duration kCallDeadline = absl::Seconds(2);
constexpr absl::Duration kWindow = absl::Seconds(10);  // several groups end within it

}  // namespace

PlanWatch::PlanWatch(Coordinator::StubInterface* stub, std::string plan, Reporter* reporter)
    : stub_(stub),
      plan_(std::move(plan)),
      reporter_(reporter),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void PlanWatch::Run(const std::stop_token& stop) {
  struct Point {
    absl::Time time;
    uint64_t tokens;
  };
  std::deque<Point> recent;  // throughput is over these
  do {
    grpc::ClientContext context;
    SetDeadline(&context, kCallDeadline);
    std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    GetStatusReply reply;
    if (!stub_->GetStatus(&context, GetStatusRequest(), &reply).ok()) continue;
    for (const PlanStatus& plan : reply.plans()) {
      if (plan.name() != plan_) continue;
      recent.push_back({absl::Now(), plan.sampled_tokens()});
      while (recent.size() > 2 && recent.back().time - recent.front().time > kWindow) {
        recent.pop_front();
      }
      const double seconds = absl::ToDoubleSeconds(recent.back().time - recent.front().time);
      const auto tokens = static_cast<double>(recent.back().tokens - recent.front().tokens);
      reporter_->Update(static_cast<double>(plan.samples_accepted()),
                        seconds > 0 ? tokens / seconds : 0);
    }
  } while (!WaitForStop(stop, kPollEvery));
}

}  // namespace reckon
