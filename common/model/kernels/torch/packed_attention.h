#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/model/attention.h"

namespace reckon {

// PackedAttention by LibTorch's attention, on the device of the rows. In bf16 on a GPU it is one
// call of the flash kernels for all segments (Dao 2023); elsewhere it calls
// scaled_dot_product_attention for each. Keys of a stem are copied for each of its branches, never
// computed again. Differentiable.
std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
