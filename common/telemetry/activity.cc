#include "common/telemetry/activity.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace reckon {

Activity::Activity(const std::string& role, const std::vector<std::string>& states,
                   Registry* registry, Clock* clock)
    : clock_(clock), counted_(clock->Now()), moved_(counted_) {
  for (const std::string& state : states) {
    waits_.push_back(absl::StartsWith(state, "wait_"));
    seconds_.push_back(&registry->AddCounter(
        absl::StrCat("reckon_", role, "_seconds_total"),
        absl::StrCat("Time that the ", role, "'s main loop was in each state"),
        {{"state", state}}));
  }
  // A long state is seen while it lasts, not when it ends.
  refresh_ = registry->OnCollect([this] {
    absl::MutexLock lock(&mu_);
    CountTime();
  });
}

void Activity::CountTime() {
  const absl::Time now = clock_->Now();
  seconds_[state_]->Increment(absl::ToDoubleSeconds(now - counted_));
  counted_ = now;
}

int Activity::Enter(int state) {
  absl::MutexLock lock(&mu_);
  CountTime();
  moved_ = counted_;
  return std::exchange(state_, state);
}

void Activity::Tick() {
  absl::MutexLock lock(&mu_);
  moved_ = clock_->Now();
}

void Activity::SetStarted() {
  absl::MutexLock lock(&mu_);
  started_ = true;
}

void Activity::SetReady(bool ready) {
  absl::MutexLock lock(&mu_);
  ready_ = ready;
}

void Activity::SetOutage(bool outage) {
  absl::MutexLock lock(&mu_);
  outage_ = outage;
  moved_ = clock_->Now();
}

bool Activity::started() const {
  absl::MutexLock lock(&mu_);
  return started_;
}

bool Activity::ready() const {
  absl::MutexLock lock(&mu_);
  return ready_;
}

bool Activity::alive() const {
  absl::MutexLock lock(&mu_);
  return outage_ || waits_[state_] || clock_->Now() - moved_ < kStalledAfter;
}

int Activity::EnterNested(int state) {
  absl::MutexLock lock(&mu_);
  const int before = state_;
  CountTime();
  moved_ = counted_;
  if (!waits_[before] || !waits_[state]) state_ = state;
  return before;
}

}  // namespace reckon
