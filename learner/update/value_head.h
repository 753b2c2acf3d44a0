#ifndef RECKON_LEARNER_UPDATE_VALUE_HEAD_H_
#define RECKON_LEARNER_UPDATE_VALUE_HEAD_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/interface.h"
#include "common/model/transformer.h"

namespace reckon {

// The top of a critic: hidden -> 2 hidden -> ReLU -> 1, in fp32 (trlX). The first layer is drawn
// from the seed; the second starts at zero, so the first values are zero. It computes with the
// operations of the backend: with the CPU kernels the value of a token has the same bits in every
// micro-batch, as the hidden state has from which it is computed. One thread.
class ValueHead {
 public:
  ValueHead(int64_t hidden_size, uint64_t seed, Backend backend);

  // hidden [n, hidden] -> values [n] fp32, differentiable.
  at::Tensor Forward(const at::Tensor& hidden) const;
  // fp32 leaves that require gradients. Call Repack after they changed.
  const NamedTensors& parameters() const { return parameters_; }
  void Repack();

 private:
  const Backend backend_;
  NamedTensors parameters_;
  LinearWeight inner_, value_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_VALUE_HEAD_H_
