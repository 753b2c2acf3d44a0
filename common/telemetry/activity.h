#ifndef RECKON_COMMON_TELEMETRY_ACTIVITY_H_
#define RECKON_COMMON_TELEMETRY_ACTIVITY_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/telemetry/registry.h"

namespace reckon {

// What the main loop of a role does now, and since when. From it follow
//
//   reckon_<role>_seconds_total{state="..."}   where its time goes: idle shares, the bottleneck
//   its health (health_server.h)               startup, liveness, readiness
//
// A role's main loop is always in one state. States that begin with "wait_" are waits for others:
// in those it may stay for ever, because whether a peer lives is not for this process to answer. In
// every other state it must show within kStalledAfter that it moves, by Tick or by the next state.
//
// One for each role's process, used by its main loop. Thread-safe: scrapes and probes read it.
class Activity {
 public:
  static constexpr absl::Duration kStalledAfter = absl::Seconds(60);

  // Begins in states[0]. `role` is part of the metric's name.
  Activity(const std::string& role, const std::vector<std::string>& states, Registry* registry,
           Clock* clock = Clock::Real());

  // Returns the state before.
  int Enter(int state);
  void Tick();

  // The process has begun its work: weights, store or config are loaded.
  void SetStarted();
  // It can serve others now.
  void SetReady(bool ready);
  // A peer does not answer, or does so again. Until then every state counts as a wait.
  void SetOutage(bool outage);

  bool started() const;
  bool ready() const;
  // False: the main loop has not moved for kStalledAfter.
  bool alive() const;

 private:
  friend class ActivityScope;
  // A wait within a wait changes nothing. Returns the state before.
  int EnterNested(int state);
  void CountTime() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock* const clock_;
  std::vector<bool> waits_;        // by state
  std::vector<Counter*> seconds_;  // by state
  mutable absl::Mutex mu_;
  int state_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time counted_ ABSL_GUARDED_BY(mu_);  // until then time is in `seconds_`
  absl::Time moved_ ABSL_GUARDED_BY(mu_);
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  bool ready_ ABSL_GUARDED_BY(mu_) = false;
  bool outage_ ABSL_GUARDED_BY(mu_) = false;
  Registry::Handle refresh_;
};

// In a state until the end of the scope, then in the one before. A wait within a wait counts as the
// outer one: a rank that waits for rollouts does so in a collective.
class ActivityScope {
 public:
  ActivityScope(Activity* activity, int state)
      : activity_(*activity), before_(activity->EnterNested(state)) {}
  ~ActivityScope() { activity_.Enter(before_); }
  ActivityScope(const ActivityScope&) = delete;
  ActivityScope& operator=(const ActivityScope&) = delete;

 private:
  Activity& activity_;
  const int before_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_ACTIVITY_H_
