#ifndef RECKON_LEARNER_EVALUATE_CALIBRATION_H_
#define RECKON_LEARNER_EVALUATE_CALIBRATION_H_

#include <vector>

namespace reckon {

// How well a reward model's probabilities describe which solutions are right. Pure functions.

// A solution's predicted probability and whether it was right.
struct Prediction {
  double probability = 0;
  bool right = false;
};

// Area under the ROC curve: the chance that a right solution is ranked above a wrong one, with ties
// counting half (Mann-Whitney). 0.5 when all are right or all are wrong.
double AreaUnderCurve(std::vector<Prediction> predictions);

// Expected calibration error (Guo et al. 2017, eq. 3): over ten bins of equal width, the mean
// distance between predicted and observed share of right solutions, weighted by the size of the
// bin.
double CalibrationError(const std::vector<Prediction>& predictions);

// Mean squared error of the probabilities (Brier 1950).
double BrierScore(const std::vector<Prediction>& predictions);

}  // namespace reckon

#endif  // RECKON_LEARNER_EVALUATE_CALIBRATION_H_
