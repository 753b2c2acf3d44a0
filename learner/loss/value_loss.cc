#include "learner/loss/value_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/maximum.h>

namespace reckon {

ValueLoss ClippedValueLoss(const ValueLossInput& input, double clip) {
  ValueLoss out;
  at::Tensor losses = (input.values - input.returns).square();
  if (clip > 0) {
    const at::Tensor moved = at::clamp(input.values - input.old_values, -clip, clip);
    const at::Tensor clipped = (input.old_values + moved - input.returns).square();
    out.clipped = clipped.gt(losses).sum();
    losses = at::maximum(losses, clipped);
  }
  out.loss = (losses * input.weights).sum() * 0.5;
  return out;
}

}  // namespace reckon
