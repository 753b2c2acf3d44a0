#ifndef RECKON_COMMON_TASK_METRICS_GROUP_METRICS_H_
#define RECKON_COMMON_TASK_METRICS_GROUP_METRICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/report.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// The evaluation metrics of a set of prompts with K samples each. Add all groups, then ask for the
// metrics. Used by one thread. Without groups every metric is 0.
//
//   maj@K     the most frequent canonical answer is correct. Samples without an answer do not
//             vote; a tie goes to the answer that reached the count first in sample order (RFT's
//             rule).
//   pass@K    at least one of the K samples is correct.
//   rerank@K  the sample that a reward model scores highest is correct.
class GroupMetrics {
 public:
  // `kind`: of the first reward, whose rule says which answers are equal.
  explicit GroupMetrics(RewardSpec::Kind kind = RewardSpec::EXACT_MATCH_STRICT) : kind_(kind) {}
  // `samples`: all samples of one prompt in sample order. The verdict and the extracted answer are
  // those of the first reward; only correct samples need their completion. `scores`: a reward
  // model's probability for each sample, or empty.
  void AddGroup(const std::vector<Rollout>& samples, const std::vector<double>& scores = {});
  // Adds prompts that could not be asked, because they do not fit into the model's context: all of
  // their `samples` samples are wrong.
  void AddOverlong(uint64_t prompts, uint64_t samples);
  uint64_t groups() const { return groups_.size(); }

  // Whether maj@K and rerank_weighted@K mean something. A reward of the user's own need not reply
  // with the answer that it found: where it never does, nobody votes, and a 0 would be read as a
  // result.
  bool HasVotes() const;

  Estimate MajAtK(uint32_t bootstrap, uint64_t seed) const;
  Estimate PassAtK(uint32_t bootstrap, uint64_t seed) const;
  // Of equal scores the first sample counts.
  Estimate RerankAtK(uint32_t bootstrap, uint64_t seed) const;
  // As maj@K, but each sample votes with its score (Uesato et al. 2022: RM-weighted).
  Estimate RerankWeightedAtK(uint32_t bootstrap, uint64_t seed) const;
  // rerank_weighted@K - maj@K by prompt, in [-1, 1]. Both use the same samples, so the interval of
  // the difference is narrower than those of the two.
  Estimate RerankGain(uint32_t bootstrap, uint64_t seed) const;
  // The unbiased estimate of the chance that at least one of k <= K samples is correct (Chen et al.
  // 2021): the mean of 1 - C(n - c, k) / C(n, k) over prompts with n samples, c of them correct.
  double PassAt(uint32_t k) const;
  // PassAt of each power of two below `samples`, by k in decimal.
  std::map<std::string, double> PassAtPowersOfTwo(uint32_t samples) const;
  // The number of different correct solutions of a prompt, on average over prompts: different in
  // their text, or in their EquationKey.
  double DistinctCorrectTexts() const;
  double DistinctCorrectEquations() const;
  // The share of samples that are correct. With K = 1 and temperature 0 this is maj@1.
  Estimate MeanAtOne(uint32_t bootstrap, uint64_t seed) const;
  // The number of samples by verdict: "correct", "wrong", "unparsable", "truncated",
  // "reference_unparsable", and "unscored" and "overlong" if there are any.
  std::map<std::string, uint64_t> VerdictCounts() const;

 private:
  struct Group {
    bool majority_correct = false, best_correct = false, weighted_correct = false;
    uint64_t samples = 0, correct = 0;
    uint64_t distinct_texts = 0, distinct_equations = 0;  // of the correct ones
  };
  // value(group) of each group.
  template <typename Value>
  std::vector<double> OfGroups(Value value) const;

  RewardSpec::Kind kind_;
  bool has_answer_ = false;  // a sample had one
  std::vector<Group> groups_;
  std::map<Verdict, uint64_t> verdicts_;
  uint64_t overlong_ = 0;  // samples
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_METRICS_GROUP_METRICS_H_
