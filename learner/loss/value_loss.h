#ifndef RECKON_LEARNER_LOSS_VALUE_LOSS_H_
#define RECKON_LEARNER_LOSS_VALUE_LOSS_H_

#include "ATen/core/Tensor.h"

namespace reckon {

// Of the sampled tokens of some sequences, one behind the other: [n] fp32 each.
struct ValueLossInput {
  at::Tensor values;      // differentiable
  at::Tensor old_values;  // before this batch's updates
  at::Tensor returns;
  at::Tensor weights;  // of TokenWeights
};

struct ValueLoss {
  at::Tensor loss;     // scalar; adds up over the tokens of the batch
  double clipped = 0;  // tokens where the clipped error was the larger one
};

// w max((v - R)^2, (clip(v, v_old - clip, v_old + clip) - R)^2) / 2 (trlX, TRL, verl). clip 0: off.
ValueLoss ClippedValueLoss(const ValueLossInput& input, double clip);

}  // namespace reckon

#endif  // RECKON_LEARNER_LOSS_VALUE_LOSS_H_
