#ifndef RECKON_LEARNER_REPORT_REWARD_METRICS_H_
#define RECKON_LEARNER_REPORT_REWARD_METRICS_H_

#include <map>
#include <string>

#include "proto/rollout.pb.h"

namespace reckon {

// What the rewards of a round's or step's rollouts say, each for itself: its mean without its
// weight, and how many attempts to compute it failed, by name.
class RewardMetrics {
 public:
  void Add(const Rollout& rollout);
  // "reward/<name>", and "reward_failures/<failure>" of what has failed at all.
  std::map<std::string, double> Values() const;

 private:
  struct Sum {
    double value = 0, count = 0;
  };
  std::map<std::string, Sum> sums_;         // by name of the reward
  std::map<std::string, double> failures_;  // by name of the failure
};

}  // namespace reckon

#endif  // RECKON_LEARNER_REPORT_REWARD_METRICS_H_
