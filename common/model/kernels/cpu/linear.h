#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_LINEAR_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_LINEAR_H_

#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// Linear layers by Gemm: packing of weights, y = x W^T + low (scale * B)^T + bias, and the
// gradients.

// Ops::Pack, Ops::Unpack and Ops::PackAdapters.
void PackLinear(const std::vector<at::Tensor>& parts, Dtype dtype, bool trainable,
                LinearWeight* weight);
at::Tensor UnpackLinear(const LinearWeight& weight);
std::shared_ptr<const PackedAdapters> PackLinearAdapters(const std::vector<Adapter>& parts,
                                                         Dtype dtype, bool trainable);

// low = x A^T of all adapters side by side, [rows, R] of x's dtype; undefined: there are none.
at::Tensor LowRank(const at::Tensor& x, const LinearWeight& weight);
// x [rows, k] -> [rows, n] of x's dtype. All sums and the bias are added in fp32 before rounding.
at::Tensor LinearForward(const at::Tensor& x, const at::Tensor& low, const LinearWeight& weight);
// to [rows, n] fp32 += the same.
void AddLinearForward(const at::Tensor& x, const at::Tensor& low, const LinearWeight& weight,
                      const at::Tensor& to);

// Returns dx = dy W + d_low A, of dy's dtype, with d_low_i = dy_i (scale * B_i), and adds to the
// gradients of what is trained:
//   parts       dW_i += dy_i^T x
//   bias_parts  db_i += the sum of dy_i over rows
//   adapters    dB_i += dy_i^T (scale * low_i),  dA_i += d_low_i^T x
// where dy_i are the columns of dy [rows, n] that belong to part i. The gradient dy^T x of a
// weight under adapters is never formed: with rank r they cost rows * r * (n + k) instead of
// rows * n * k.
at::Tensor LinearBackward(const at::Tensor& x, const at::Tensor& low, const LinearWeight& weight,
                          const at::Tensor& dy);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_LINEAR_H_
