#include "common/net/plan_watch.h"

#include <deque>
#include <utility>

#include "absl/time/clock.h"
#include "common/net/plan_health.h"
#include "common/net/retry.h"

namespace reckon {
namespace {

constexpr absl::Duration kPollEvery = absl::Milliseconds(500);
constexpr absl::Duration kStatusDeadline = absl::Seconds(2);
constexpr absl::Duration kSpeedWindow = absl::Seconds(10);  // several groups end within it

// Samples and speed of a plan, the speed over the last seconds.
class Speed {
 public:
  void Note(const PlanStatus& plan, absl::Time now, PlanView* view) {
    recent_.push_back({now, plan.sampled_tokens()});
    while (recent_.size() > 2 && now - recent_.front().time > kSpeedWindow) recent_.pop_front();
    const double seconds = absl::ToDoubleSeconds(now - recent_.front().time);
    const auto tokens = static_cast<double>(recent_.back().tokens - recent_.front().tokens);
    view->samples = static_cast<double>(plan.samples_accepted());
    view->tokens_per_s = seconds > 0 ? tokens / seconds : 0;
  }

 private:
  struct Point {
    absl::Time time;
    uint64_t tokens;
  };
  std::deque<Point> recent_;
};

}  // namespace

PlanWatch::PlanWatch(Coordinator::StubInterface* stub, PlanSpec spec, uint64_t term,
                     std::function<void(const PlanView&)> show)
    : stub_(stub),
      spec_(std::move(spec)),
      term_(term),
      show_(std::move(show)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

absl::Status PlanWatch::Check() const {
  absl::MutexLock lock(&mu_);
  return failure_;
}

void PlanWatch::Run(const std::stop_token& stop) {
  PlanHealth health(spec_, term_);
  Speed speed;
  PlanView view;
  do {
    GetStatusReply reply;
    const absl::Status asked = CallOnce(stop, kStatusDeadline, [&](grpc::ClientContext* context) {
      return stub_->GetStatus(context, {}, &reply);
    });
    if (stop.stop_requested()) break;
    const absl::Time now = absl::Now();
    health.Note(asked.ok() ? absl::StatusOr<GetStatusReply>(reply) : asked, now);
    for (const PlanStatus& plan : reply.plans()) {
      if (plan.name() == spec_.name()) speed.Note(plan, now, &view);
    }
    view.waiting_for = health.waiting_for();
    show_(view);
    absl::MutexLock lock(&mu_);
    failure_ = health.failure();
  } while (!WaitForStop(stop, kPollEvery));
  view.waiting_for.clear();
  show_(view);
}

}  // namespace reckon
