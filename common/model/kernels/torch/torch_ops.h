#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_TORCH_OPS_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_TORCH_OPS_H_

#include "absl/status/status.h"
#include "common/model/backend.h"
#include "common/model/config.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// Ops composed of LibTorch's operations, on the device of the tensors; on a GPU what is not a
// product has kernels of its own (kernels/cuda/layer_ops.h). RmsNorm, HeadNorm, Rope and SwiGlu are
// differentiated by LibTorch elsewhere; operations with parameters add to the parameters' gradients
// in closures, as CpuOps does. Never overwrites an argument.
const Ops& TorchOps();

// x [rows, k] -> x W^T [rows, n] fp32, with W's adapters, without its bias and without gradients.
at::Tensor ProductOf(const at::Tensor& x, const LinearWeight& weight);
// Whether a product by W, with no bias and no adapters, may be rounded as it is written: not with a
// row tile, whose products all are of one kind.
bool IsPlain(const LinearWeight& weight);
// ProductOf of the type of x, by a plain weight.
at::Tensor RoundedProductOf(const at::Tensor& x, const LinearWeight& weight);
// sum [rows, n] fp32 += ProductOf. On a GPU each product adds its part as it ends.
void AddProductOf(const at::Tensor& x, const LinearWeight& weight, at::Tensor& sum);
// CheckRowsAlike (row_tiles.h) of these products. Without a row tile, and of the CPU kernels: OK.
absl::Status CheckRowInvariance(const ModelConfig& config, Dtype dtype, Backend backend);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_TORCH_OPS_H_
