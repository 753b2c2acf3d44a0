#ifndef RECKON_LEARNER_REPORT_REWARD_METRICS_H_
#define RECKON_LEARNER_REPORT_REWARD_METRICS_H_

#include <map>
#include <string>

#include "proto/rollout.pb.h"

namespace reckon {

// What the rewards of a round's or step's rollouts say, each for itself: its mean without its
// weight, and how many attempts to compute it failed, by name; and the weighted sum by set.
class RewardMetrics {
 public:
  // `set`: of a mixture, whose problem the rollout answers; else empty.
  void Add(const Rollout& rollout, const std::string& set);
  // "reward/<name>", and "reward_failures/<failure>" of what has failed at all. By set
  // "set/<set>/...": num_samples, the mean reward, and right_ratio where a reward tells right from
  // wrong.
  std::map<std::string, double> Values() const;

 private:
  struct Sum {
    double value = 0, count = 0;
  };
  std::map<std::string, Sum> sums_;         // by name of the reward
  std::map<std::string, double> failures_;  // by name of the failure
  struct OfSet {
    Sum reward, right;
  };
  std::map<std::string, OfSet> sets_;  // by name of the set
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_REWARD_METRICS_H_
