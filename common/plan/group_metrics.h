#ifndef RECKON_COMMON_PLAN_GROUP_METRICS_H_
#define RECKON_COMMON_PLAN_GROUP_METRICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/rollout.pb.h"

namespace reckon {

// A proportion with its 95 % bootstrap interval over prompts.
struct Estimate {
  double value = 0;
  double low = 0;
  double high = 0;
};

// Counts evaluation groups and gives maj@1, maj@K, rerank@K, pass@K, pass@k and how varied what is
// right is. Not thread-safe.
//
// maj@K: the most frequent canonical answer wins; unparsable samples do not vote; a tie goes to the
// answer that reached the count first in sample order (RFT's rule). pass@K: any sample correct.
class GroupMetrics {
 public:
  // `samples`: all samples of one prompt in sample order, each with its first reward's verdict and
  // extracted answer, and the completion of correct ones. `scores`: a reward model's probability
  // for each, or none.
  void AddGroup(const std::vector<Rollout>& samples, const std::vector<double>& scores = {});
  uint64_t groups() const { return groups_.size(); }

  Estimate MajAtK(uint32_t bootstrap, uint64_t seed) const;
  Estimate PassAtK(uint32_t bootstrap, uint64_t seed) const;
  // Whether the sample with the highest score is correct; the first of equals.
  Estimate RerankAtK(uint32_t bootstrap, uint64_t seed) const;
  // Whether the answer with the highest sum of scores is (Uesato et al. 2022: RM-weighted);
  // otherwise as maj@K.
  Estimate RerankWeightedAtK(uint32_t bootstrap, uint64_t seed) const;
  // rerank_weighted@K - maj@K, prompt by prompt: of the same samples, so its interval is narrower
  // than those of the two.
  Estimate RerankGain(uint32_t bootstrap, uint64_t seed) const;
  // Chance that one of k samples is correct, for k up to K, without bias from K samples (Chen et
  // al. 2021): the mean of 1 - C(n - c, k) / C(n, k) over prompts with n samples, c of them
  // correct.
  double PassAt(uint32_t k) const;
  // The same by k, for the powers of two below `samples`.
  std::map<std::string, double> PassAtPowersOfTwo(uint32_t samples) const;
  // Correct solutions of a prompt that differ, on average over prompts: in their text, or in the
  // sequence of their equations.
  double DistinctCorrectTexts() const;
  double DistinctCorrectEquations() const;
  // Share of samples that are correct; with K = 1 and temperature 0 this is maj@1.
  Estimate MeanAtOne(uint32_t bootstrap, uint64_t seed) const;
  // "wrong", "unparsable", "truncated", "reference_unparsable", "correct" -> samples.
  std::map<std::string, uint64_t> VerdictCounts() const;

 private:
  struct Group {
    bool majority_correct, best_correct, weighted_correct;
    uint64_t samples, correct;
    uint64_t distinct_texts, distinct_equations;  // of the correct ones
  };
  std::vector<Group> groups_;
  std::map<Verdict, uint64_t> verdicts_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_PLAN_GROUP_METRICS_H_
