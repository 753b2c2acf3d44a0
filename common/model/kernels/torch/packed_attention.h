#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/model/attention.h"

namespace reckon {

// PackedAttention by LibTorch's scaled_dot_product_attention, one sequence after the other, on the
// device of the rows. For a branch it computes the stem's rows again. Differentiable.
std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
