#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_

#include <memory>

#include "common/model/attention.h"

namespace reckon {

// PackedAttention by LibTorch's operations, on the device of the rows. In bf16 on a GPU one call of
// the flash kernels (Dao 2023) for all sequences of a pass; elsewhere one of
// scaled_dot_product_attention for each. Keys of a stem are copied for each of its branches, never
// computed again. Differentiable.
std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
