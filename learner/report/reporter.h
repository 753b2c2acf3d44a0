#ifndef RECKON_LEARNER_REPORT_REPORTER_H_
#define RECKON_LEARNER_REPORT_REPORTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/progress.h"

namespace reckon {

// What humans and tools see of a run: metrics (metrics.jsonl, TensorBoard) and progress.json. Every
// rank has one and makes the same calls; only that of rank 0 writes, the others are silent.
//
// Write, AddToNext, CountSamples and step belong to the learner's thread, the rest is thread-safe:
// PlanWatch updates the progress while the learner waits for samples. Metrics that cannot be
// written are an error, progress that cannot be written is logged only, because no later step
// depends on it.
class Reporter {
 public:
  static std::unique_ptr<Reporter> Silent();
  // `step`: the next line of metrics.jsonl; `lines`: summary lines of an earlier attempt. The
  // totals continue from the line before `step`.
  static absl::StatusOr<std::unique_ptr<Reporter>> Create(const std::string& run_dir, int64_t step,
                                                          std::vector<std::string> lines);

  // Starts a bar from 0 to `total`. The phase before it, if it had steps, leaves a line with its
  // last figure and its time.
  void BeginPhase(const std::string& phase, double total, const std::string& unit);
  // Moves the bar. Written to progress.json at most every 50 ms.
  void Update(double done, double tokens_per_s);
  // What the run cannot go further without; empty: nothing. Shown at once.
  void SetWaitingFor(const std::string& what);
  // Adds the line of a result, which is shown again when the run is resumed.
  void AddLine(const std::string& line);
  // What a step of the phase says: a line, and the figure that the phase is about.
  void AddStep(const std::string& line, const std::string& figure, double value);
  // Marks the run as finished: `reckon train` ends.
  void Finish();

  // Adds to the totals of what the run has sampled for training.
  void CountSamples(double samples, double tokens);
  double samples() const { return samples_; }
  double tokens() const { return tokens_; }
  // Adds values to the line that Write writes next: of what ends after the line of its step.
  void AddToNext(const std::map<std::string, double>& values);
  // Writes one line of metrics at step(), with the totals: total/num_samples, total/num_tokens and
  // timing_s/total.
  absl::Status Write(const std::map<std::string, double>& values);
  // The next line of metrics.jsonl, the x axis of the curves.
  int64_t step() const { return step_; }

  std::vector<std::string> lines() const;

 private:
  Reporter(std::string run_dir, std::unique_ptr<MetricsWriter> metrics, int64_t step,
           std::vector<std::string> lines);
  void EndPhase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes progress.json: at once, or when the last time is 50 ms ago.
  void Show(bool at_once) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string run_dir_;                     // empty: silent
  const std::unique_ptr<MetricsWriter> metrics_;  // null: silent
  int64_t step_;
  mutable absl::Mutex mu_;
  Progress progress_ ABSL_GUARDED_BY(mu_);
  absl::Time phase_begin_ ABSL_GUARDED_BY(mu_);
  absl::Time shown_ ABSL_GUARDED_BY(mu_);

  const absl::Time begin_;
  double samples_ = 0, tokens_ = 0;     // sampled for training since the run began
  std::map<std::string, double> next_;  // of AddToNext
  double earlier_s_ = 0;                // timing_s/total of the attempts before
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_REPORTER_H_
