#ifndef RECKON_COMMON_MODEL_OPS_DEVICE_OPS_H_
#define RECKON_COMMON_MODEL_OPS_DEVICE_OPS_H_

#include "ATen/core/Tensor.h"
#include "common/model/ops/ops.h"

namespace reckon::device {

// The operations of ops.h composed of LibTorch's, on whatever device the tensors are. The same
// numbers to rounding, not the same bits: LibTorch promises no order of summation. Linear weights
// are read from `device_weight`. Gradients of parameters are added in place, as there.

at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table);
at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps, Element element);
at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight);
at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x, const LinearWeight& weight);
at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                    int64_t heads, int64_t kv_heads, int64_t dim, double eps);
at::Tensor Rope(const at::Tensor& x, const at::Tensor& positions, int64_t heads, int64_t dim,
                const at::Tensor& frequency);
at::Tensor SwiGlu(const at::Tensor& gate_up);
at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double temperature);
at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head);

}  // namespace reckon::device

#endif  // RECKON_COMMON_MODEL_OPS_DEVICE_OPS_H_
