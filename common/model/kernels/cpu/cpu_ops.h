#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_CPU_OPS_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_CPU_OPS_H_

#include "common/model/kernels/interface.h"

namespace reckon {

// Ops by the kernels of this folder, for tensors on the CPU. Each is a forward (rows, linear,
// output_head) and, where a gradient is needed, the hand-written backward as a closure
// (autograd.h). Row-invariant: row i of a result has the same bits whatever the other rows are
// (gemm.h says why that matters), and so has row i of an input's gradient. The gradient of a
// parameter is a sum over rows in their order.
const Ops& CpuOps();

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_CPU_OPS_H_
