#ifndef RECKON_LEARNER_EVALUATE_KEPT_VERSIONS_H_
#define RECKON_LEARNER_EVALUATE_KEPT_VERSIONS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/config.pb.h"
#include "proto/report.pb.h"

namespace reckon {

// Which evaluated versions a run keeps beside its newest ones (keep_evaluated).

// The value of `metric`, a name as in best_metric; nothing if the evaluation does not have it:
// rerank@K before there is a reward model, maj@K where nobody votes.
std::optional<double> MetricOf(const Evaluation& evaluation, const std::string& metric);

// The evaluation with the largest value of `metric`, of equals the earliest; null if none has it.
const Evaluation* BestEvaluation(const std::vector<Evaluation>& evaluations,
                                 const std::string& metric);

// The versions that keep_evaluated keeps of these.
std::set<uint64_t> KeptVersions(const RunConfig& config,
                                const std::vector<Evaluation>& evaluations);

// Makes <run_dir>/best a symbolic link to `target`, atomically: readers find the old or the new
// one.
absl::Status LinkBest(const std::string& run_dir, const std::string& target);

}  // namespace reckon

#endif  // RECKON_LEARNER_EVALUATE_KEPT_VERSIONS_H_
