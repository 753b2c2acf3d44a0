#ifndef RECKON_COMMON_MODEL_DEVICE_PACKED_ATTENTION_H_
#define RECKON_COMMON_MODEL_DEVICE_PACKED_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/model/transformer.h"

namespace reckon {

// PackedAttention by LibTorch's scaled_dot_product_attention, one sequence at a time, on whatever
// device the rows are. Differentiable.
std::unique_ptr<AttentionSource> DevicePackedAttention(const ModelConfig& config,
                                                       std::vector<int64_t> starts);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DEVICE_PACKED_ATTENTION_H_
