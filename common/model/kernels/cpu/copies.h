#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_COPIES_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_COPIES_H_

#include "ATen/core/Tensor.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// Passes over memory on the threads of common/base/thread_pool.h. LibTorch's own run on one thread
// in a program that computes with this pool.

// A contiguous copy of a contiguous x.
at::Tensor Copied(const at::Tensor& x);
// x contiguous, of fp32, rounded to the dtype; x itself for fp32.
at::Tensor Rounded(const at::Tensor& x, Dtype dtype);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_COPIES_H_
