#ifndef RECKON_COMMON_TELEMETRY_METRICS_H_
#define RECKON_COMMON_TELEMETRY_METRICS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reckon {

// A run's metrics: one object per step in metrics.jsonl and the same names in a TensorBoard event
// file under tensorboard/. Owned by one learner rank; not thread-safe.
class MetricsWriter {
 public:
  // Appends to what is in `run_dir`; steps at or after `resume_step` of an earlier attempt are cut
  // from metrics.jsonl, so that a resumed run has one line a step.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(const std::string& run_dir,
                                                             int64_t resume_step);
  virtual ~MetricsWriter() = default;
  virtual absl::Status Write(int64_t step, const std::map<std::string, double>& values) = 0;
};

// What a run is doing now, for the progress display of `reckon train`: written atomically to
// <run_dir>/progress.json by learner rank 0, at most a few times a second.
struct Progress {
  std::string phase;  // "evaluate start", "sft", "ei round 1: sample"
  double done = 0;    // of `total`, in `unit`
  double total = 0;
  std::string unit;  // "samples", "steps"
  double tokens_per_s = 0;
  double elapsed_s = 0;            // in this phase
  std::vector<std::string> lines;  // summary lines so far, one per finished step or phase
  bool finished = false;           // the whole run is done
};
absl::Status WriteProgress(const std::string& run_dir, const Progress& progress);
absl::StatusOr<Progress> ReadProgress(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_METRICS_H_
