#include "common/model/kernels/interface.h"

#include "common/model/kernels/cpu/cpu_ops.h"
#include "common/model/kernels/torch/torch_ops.h"

namespace reckon {

const Ops& OpsOf(Backend backend) {
  return backend == Backend::kCpuKernels ? CpuOps() : TorchOps();
}

Dtype DtypeOf(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? Dtype::kBf16 : Dtype::kFp32;
}

at::ScalarType ScalarTypeOf(Dtype dtype) {
  return dtype == Dtype::kBf16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace reckon
