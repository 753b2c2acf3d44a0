#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_LAYER_OPS_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_LAYER_OPS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/dtype.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// Operations of Ops (kernels/interface.h) by one kernel in the forward pass and one in the backward
// pass. kernels/torch/torch_ops.cc calls them for tensors on a GPU; layer_ops_test.cc compares
// both. Throw what LibTorch throws. Only in builds with RECKON_CUDA, and in tests on the CPU
// (tests/support/cuda_on_cpu).

// Ops::RmsNorm.
at::Tensor FusedRmsNorm(const at::Tensor& x, const TableWeight& weight, double eps, Dtype dtype);
// Ops::HeadNorm.
at::Tensor FusedHeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                         int64_t heads, int64_t kv_heads, int64_t dim, double eps);
// Ops::SwiGlu.
at::Tensor FusedSwiGlu(const at::Tensor& gate_up);
// Ops::Rope.
at::Tensor FusedRope(const at::Tensor& x, const at::Tensor& table, int64_t heads, int64_t dim);

// Columns first .. of the logits of some rows, as LogitTileArgs says: x [rows, columns] fp32,
// excluded [columns] or undefined, targets [rows] int64.
struct LogitColumns {
  at::Tensor x, excluded, targets;
  int64_t first = 0;
  double scale = 1;
};
// Changes log_sum and target [rows] fp32 as AddLogSumArgs says. No gradients.
void FusedAddLogSum(const LogitColumns& tile, const at::Tensor& log_sum, const at::Tensor& target);
// [rows, columns] of `type`, by LogitGradientArgs.
at::Tensor FusedLogitGradient(const LogitColumns& tile, const at::Tensor& log_sum,
                              const at::Tensor& d_logprob, at::ScalarType type);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_LAYER_OPS_H_
