#ifndef RECKON_COMMON_MODEL_OPS_BACKWARD_H_
#define RECKON_COMMON_MODEL_OPS_BACKWARD_H_

#include "ATen/core/Tensor.h"
#include "common/model/ops/ops.h"

namespace reckon {

// The gradients behind ops.cc. Each adds its parameters' gradients in place and returns that of its
// input. Contiguous tensors only.

// The fp32 gradient of a leaf, made of zeros when there is none.
at::Tensor GradOf(const at::Tensor& leaf);

// grad[tokens[i]] += d[i].
void AddRows(const at::Tensor& d, const at::Tensor& tokens, const at::Tensor& grad);
at::Tensor RmsNormBackward(const at::Tensor& x, const TableWeight& weight, double eps,
                           const at::Tensor& dy);
at::Tensor LinearBackward(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy);
at::Tensor SwiGluBackward(const at::Tensor& gate_up, const at::Tensor& d);

// Log-probabilities and, in `lse` [rows], what the backward needs.
at::Tensor HeadForward(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double scale, const at::Tensor& lse);
at::Tensor HeadBackward(const at::Tensor& hidden, const LinearWeight& head,
                        const at::Tensor& targets, double scale, const at::Tensor& lse,
                        const at::Tensor& dlogprob);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_BACKWARD_H_
