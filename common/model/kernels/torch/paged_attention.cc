#include "common/model/kernels/torch/paged_attention.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <cmath>

#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/torch/paged_attention_kernel.h"

namespace reckon {

bool CudaAttends(int64_t head_dim) {
  return head_dim % 32 == 0 && (head_dim <= 128 || head_dim == 256);
}

at::Tensor PagedAttentionCuda(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                              const at::Tensor& pages_of, const at::Tensor& positions) {
  at::Tensor out = at::empty(q.sizes(), q.options());
  // CUDA refuses to launch an empty grid.
  if (q.size(0) == 0) return out;
  const PagedAttentionArgs args = {
      .bf16 = q.scalar_type() == at::kBFloat16,
      .q = q.const_data_ptr(),
      .q_stride = q.stride(0),
      .keys = keys.const_data_ptr(),
      .values = values.const_data_ptr(),
      .pages_of = pages_of.const_data_ptr<int32_t>(),
      .positions = positions.const_data_ptr<int32_t>(),
      .out = out.mutable_data_ptr(),
      .rows = q.size(0),
      .heads = q.size(1),
      .kv_heads = keys.size(1),
      .dim = q.size(2),
      .most_pages = pages_of.size(1),
      .page_tokens = kPageTokens,
      .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))))};
  C10_CUDA_CHECK(LaunchPagedAttention(args, c10::cuda::getCurrentCUDAStream()));
  return out;
}

}  // namespace reckon
