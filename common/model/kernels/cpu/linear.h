#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_LINEAR_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_LINEAR_H_

#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// Linear layers by Gemm: packing of weights, y = x W^T + bias, and the gradients.

// Ops::Pack.
void PackLinear(const std::vector<at::Tensor>& parts, Dtype dtype, bool trainable,
                LinearWeight* weight);

// x [rows, k] -> [rows, n] of x's dtype. The bias is added to the fp32 sum, before rounding.
at::Tensor LinearForward(const at::Tensor& x, const LinearWeight& weight);

// Returns dx = dy W, of dy's dtype, and adds to the gradients of what is trained:
//   parts       dW_i += dy_i^T x
//   bias_parts  db_i += the sum of dy_i over rows
//   adapters    dB_i += scale * dy_i^T (x A_i^T),  dA_i += scale * (dy_i B_i)^T x
// where dy_i are the columns of dy [rows, n] that belong to part i. The gradient dy^T x of a
// merged weight is never formed: with rank r, adapters cost rows * r * (n + k) instead of
// rows * n * k.
at::Tensor LinearBackward(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_LINEAR_H_
