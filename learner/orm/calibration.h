#ifndef RECKON_LEARNER_ORM_CALIBRATION_H_
#define RECKON_LEARNER_ORM_CALIBRATION_H_

#include <vector>

namespace reckon {

// A solution's predicted probability and whether it was right.
struct Prediction {
  double probability = 0;
  bool right = false;
};

// Chance that a right solution is ranked above a wrong one, ties counting half (Mann-Whitney). 0.5
// when one of the two kinds is missing.
double AreaUnderCurve(std::vector<Prediction> predictions);

// Expected calibration error (Guo et al. 2017): over ten equal bins of probability, the mean
// distance between predicted and observed share of right ones, weighted by size.
double CalibrationError(const std::vector<Prediction>& predictions);

// Mean squared error of the probabilities (Brier).
double BrierScore(const std::vector<Prediction>& predictions);

}  // namespace reckon

#endif  // RECKON_LEARNER_ORM_CALIBRATION_H_
