#ifndef RECKON_LEARNER_ALGORITHM_EVALUATE_H_
#define RECKON_LEARNER_ALGORITHM_EVALUATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/plan/group_metrics.h"
#include "learner/algorithm/learner_context.h"

namespace reckon {

// What one evaluation gave.
struct Evaluation {
  int64_t index = 0;
  std::string name;  // "start", "sft_1", "ei_1_round_2"
  uint64_t version = 0;
  int64_t problems = 0;   // evaluated
  int64_t set_aside = 0;  // given up by the coordinator, in none of the figures
  int64_t samples = 0;    // K; 0: greedy only
  double temperature = 0;
  double seconds = 0;
  Estimate maj_at_1, maj_at_k, pass_at_k;
  bool reranked = false;  // there was a reward model
  Estimate rerank_at_k, rerank_weighted_at_k, rerank_gain;
  std::map<std::string, double> pass_at;              // by k: powers of two below K
  double distinct_texts = 0, distinct_equations = 0;  // correct solutions of a prompt
  std::map<std::string, uint64_t> greedy_verdicts, sample_verdicts;
};

// Rank 0: evaluates the newest version on data.eval by two plans, greedy and K samples; writes
// eval/<index>_<name>.json, the metrics and a summary line; counts cursor.evals up. An evaluation
// whose file is there already is read, not run again.
absl::StatusOr<Evaluation> Evaluate(LearnerContext& context, const std::string& name);

// All evaluations of the run, in order, from their files.
absl::StatusOr<std::vector<Evaluation>> ReadEvaluations(const std::string& run_dir);

// The closing table, one line a row, and the same in eval/summary.json.
absl::StatusOr<std::vector<std::string>> SummariseEvaluations(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_EVALUATE_H_
