#ifndef RECKON_COMMON_MODEL_OPS_ADAPTER_H_
#define RECKON_COMMON_MODEL_OPS_ADAPTER_H_

#include <vector>

#include "ATen/core/Tensor.h"

namespace reckon {

// A low-rank adapter of a linear layer (Hu et al. 2021): its weight is W + scale * B A, with W
// frozen. The sum is made when weights are packed, so that a forward pass costs what it does
// without adapters and actors, who only know the sum, compute the same bits.
struct Adapter {
  at::Tensor a;      // [rank, k] fp32 leaf
  at::Tensor b;      // [n, rank] fp32 leaf
  double scale = 0;  // alpha / rank
};

// weight [n, k] of any type -> W + scale * B A in fp32, no gradient.
at::Tensor Merged(const at::Tensor& weight, const Adapter& adapter);

// Adds to the gradients of adapters that lie side by side, from the layer's input x [rows, k] and
// output gradient dy [rows, sum(n_i)]. The full weight's gradient dy^T x is never made: B gets
// scale * dy^T (x A^T), A gets scale * (dy B)^T x.
void AddAdapterGrads(const at::Tensor& x, const std::vector<Adapter>& adapters,
                     const at::Tensor& dy);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_ADAPTER_H_
