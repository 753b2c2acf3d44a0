#ifndef RECKON_LEARNER_UPDATE_VALUE_HEAD_H_
#define RECKON_LEARNER_UPDATE_VALUE_HEAD_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "common/model/transformer.h"

namespace reckon {

// The top of a critic: hidden -> 2 hidden -> ReLU -> 1, in fp32 (trlX). The first layer is drawn
// from the seed; the second starts at zero, so the first values are zero.
class ValueHead {
 public:
  ValueHead(int64_t hidden_size, uint64_t seed, c10::Device device);

  // hidden [n, hidden] -> values [n] fp32, differentiable.
  at::Tensor Forward(const at::Tensor& hidden) const;
  // fp32 leaves that require gradients.
  const NamedTensors& parameters() const { return parameters_; }

 private:
  NamedTensors parameters_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_VALUE_HEAD_H_
