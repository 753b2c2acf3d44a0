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

namespace reckon {

// What people and tools see of a run: metrics and progress.json. Rank 0's writes, the others' is
// silent. Metrics from one thread; the rest is thread-safe. Progress that cannot be written is
// logged and does not end the run.
class Reporter {
 public:
  static std::unique_ptr<Reporter> Silent();
  // `step`: the next line of metrics.jsonl; `lines`: summary lines of an earlier attempt.
  static absl::StatusOr<std::unique_ptr<Reporter>> Create(const std::string& run_dir, int64_t step,
                                                          std::vector<std::string> lines);

  void BeginPhase(const std::string& phase, double total, const std::string& unit);
  void Update(double done, double tokens_per_s);
  void AddLine(const std::string& line);
  void Finish();

  // One object, at the step that `step` points to, which then moves on.
  absl::Status Write(const std::map<std::string, double>& values, int64_t* step);

  std::vector<std::string> lines() const;

 private:
  Reporter(std::string run_dir, std::unique_ptr<MetricsWriter> metrics,
           std::vector<std::string> lines);
  void Show(bool now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string run_dir_;  // empty: silent
  const std::unique_ptr<MetricsWriter> metrics_;
  mutable absl::Mutex mu_;
  Progress progress_ ABSL_GUARDED_BY(mu_);
  absl::Time phase_begin_ ABSL_GUARDED_BY(mu_);
  absl::Time shown_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_REPORTER_H_
