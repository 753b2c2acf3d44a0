#include "common/model/kernels/interface.h"

#include "common/model/kernels/cpu/cpu_ops.h"
#include "common/model/kernels/torch/torch_ops.h"

namespace reckon {

const Ops& OpsOf(Backend backend) {
  return backend == Backend::kCpuKernels ? CpuOps() : TorchOps();
}

std::shared_ptr<const LinearWeight> ForBackward(const LinearWeight& weight) {
  return weight.in_backward != nullptr ? weight.in_backward
                                       : std::make_shared<const LinearWeight>(weight);
}

Dtype DtypeOf(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? Dtype::kBf16 : Dtype::kFp32;
}

at::ScalarType ScalarTypeOf(Dtype dtype) {
  return dtype == Dtype::kBf16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace reckon
