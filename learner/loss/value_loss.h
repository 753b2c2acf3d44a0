#ifndef RECKON_LEARNER_LOSS_VALUE_LOSS_H_
#define RECKON_LEARNER_LOSS_VALUE_LOSS_H_

#include "ATen/core/Tensor.h"

namespace reckon {

// The sampled tokens of some sequences, one sequence after another: [n] fp32 each.
struct ValueLossInput {
  at::Tensor values;      // differentiable
  at::Tensor old_values;  // before this step's optimizer steps
  at::Tensor returns;
  at::Tensor weights;  // of TokenWeights
};

struct ValueLoss {
  at::Tensor loss;     // scalar; the losses of the parts of a batch add up to the batch's loss
  at::Tensor clipped;  // scalar: tokens where the clipped error was the larger; undefined: no clip
};

// The clipped value loss of trlX, TRL and verl, with v the value, R the return, w the weight:
//   sum of w max((v - R)^2, (clip(v, v_old - clip, v_old + clip) - R)^2) / 2
// `clip` 0: sum of w (v - R)^2 / 2.
ValueLoss ClippedValueLoss(const ValueLossInput& input, double clip);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_VALUE_LOSS_H_
