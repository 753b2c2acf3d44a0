#ifndef RECKON_COMMON_TELEMETRY_REGISTRY_H_
#define RECKON_COMMON_TELEMETRY_REGISTRY_H_

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

// The instruments that a role updates where the event happens. Thread-safe; an update is one atomic
// addition (for a histogram under a short lock), whether or not somebody scrapes.
using Counter = prometheus::Counter;      // only grows; its name ends with _total
using Gauge = prometheus::Gauge;          // has a value now
using Histogram = prometheus::Histogram;  // how values are distributed, in buckets
using Labels = std::map<std::string, std::string>;

// Sets a counter to a total that is counted elsewhere. A lower one, of a count that began anew, is
// ignored.
void MirrorTotal(double total, Counter* counter);

// The metrics of a process: declares instruments and collects their values for /metrics
// (metrics_server.h). Each role declares its own once, in <role>_metrics.h, with a line of help;
// docs/metrics.md lists them all, and tests/integration/metrics_test.py compares.
//
// Names follow prometheus.io/docs/practices/naming: prefix reckon_, base units at the end
// (_seconds, _bytes, _ratio). A label has a few values that the program knows when it is written:
// never a text of the run, as a plan's or an actor's name. A wrong name ends the process (CHECK).
//
// Thread-safe. Instruments live as long as the registry.
class Registry final : public prometheus::Collectable {
 public:
  Registry() = default;
  // The one that a role's process serves.
  static Registry& Process();

  // The same name may be declared with several labels.
  Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // `bounds`: the upper bounds of the buckets, ascending; one without a bound is added.
  Histogram& AddHistogram(const std::string& name, const std::string& help,
                          const std::vector<double>& bounds, const Labels& labels = {});

  // Calls `refresh` at the beginning of every scrape until the handle is deleted: for values that
  // are kept elsewhere and cost nothing while nobody asks. It must not block for long, and must not
  // add or delete handles.
  using Handle = std::shared_ptr<void>;
  [[nodiscard]] Handle OnCollect(std::function<void()> refresh);

  std::vector<prometheus::MetricFamily> Collect() const override;
  // The same in Prometheus' text format.
  std::string Text() const;

 private:
  prometheus::Registry instruments_;
  mutable absl::Mutex mu_;
  std::map<uint64_t, std::function<void()>> refreshes_ ABSL_GUARDED_BY(mu_);
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
};

// `count` bounds from `first` on, each `factor` times the one before.
std::vector<double> ExponentialBounds(double first, double factor, int count);

// The gauge of a name of metrics.jsonl: reckon_ and the name, with underscores for everything that
// is not a letter or a digit. "staleness/mean" is reckon_staleness_mean; "timing_s/step", whose
// unit comes last by Prometheus' rules, is reckon_timing_step_seconds. "reward/total", of a reward
// that a user has named so, is reckon_reward_total_value: by the same rules _total ends a counter.
std::string GaugeNameOf(const std::string& metric);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_REGISTRY_H_
