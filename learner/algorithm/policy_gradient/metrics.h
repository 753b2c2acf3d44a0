#ifndef RECKON_LEARNER_ALGORITHM_POLICY_GRADIENT_METRICS_H_
#define RECKON_LEARNER_ALGORITHM_POLICY_GRADIENT_METRICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "learner/context/context.h"
#include "learner/experience/experience.h"

namespace reckon {

// What a training step reports: values under the names that verl and TRL use, and where its time
// went. Made when the step begins; one thread.
class StepMetrics {
 public:
  StepMetrics();

  // Adds "timing_s/<part>": the time since the step began or the part before ended.
  void EndPart(const std::string& part);
  // How much of the returns' variance the critic's values explain.
  void AddValues(const std::vector<Experience>& experiences);

  double& operator[](const std::string& name) { return values_[name]; }
  void Add(std::map<std::string, double> values) { values_.merge(values); }
  std::map<std::string, double>* values() { return &values_; }

  // Adds the step's time and throughput; writes all of it, a summary line, and the progress of
  // `steps` steps.
  absl::Status Report(RunState& run, int64_t steps);

 private:
  double Get(const std::string& name) const;

  const absl::Time begin_;
  absl::Time part_begin_;
  std::map<std::string, double> values_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_POLICY_GRADIENT_METRICS_H_
