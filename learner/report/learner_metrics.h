#ifndef RECKON_LEARNER_REPORT_LEARNER_METRICS_H_
#define RECKON_LEARNER_REPORT_LEARNER_METRICS_H_

#include <map>
#include <string>
#include <vector>

#include "common/telemetry/activity.h"
#include "common/telemetry/registry.h"

namespace reckon {

// The metrics of a learner rank (docs/metrics.md), updated where the event happens. What concerns
// the whole run is shown by the leader alone, so that a sum over ranks counts it once. Thread-safe.
struct LearnerMetrics {
  explicit LearnerMetrics(Registry* registry);
  // Those of this process.
  static LearnerMetrics& Process();

  // A line of metrics.jsonl: each of its values becomes a gauge (GaugeNameOf). The leader's.
  void ShowLine(int64_t step, const std::map<std::string, double>& values);

  enum State {
    kLoad,
    kOther,
    kScore,
    kUpdate,
    kPublish,
    kCheckpoint,
    kEvaluate,
    kWaitGroup,     // for the other ranks, before the first round
    kWaitRollouts,  // for actors and coordinator
    kWaitRanks,     // in a collective
    kWaitTurn       // for an actor, on the device that they share
  };
  Activity activity;

  Counter &trained_tokens, &optimizer_steps;
  Histogram &write_seconds, &publish_seconds, &checkpoint_seconds;
  Counter &sent_bytes, &broadcast_bytes;
  Histogram& staleness;  // the leader's
  Gauge &version, &rank, &step, &last_step;

 private:
  Registry& registry_;
};

// Observes how long a scope takes.
class TimedScope {
 public:
  TimedScope(LearnerMetrics::State state, Histogram* seconds);
  ~TimedScope();
  TimedScope(const TimedScope&) = delete;
  TimedScope& operator=(const TimedScope&) = delete;

 private:
  const ActivityScope activity_;
  Histogram& seconds_;
  const absl::Time begin_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_LEARNER_METRICS_H_
