#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_

#include <memory>

#include "common/model/attention.h"

namespace reckon {

// PackedAttention by LibTorch's kernels, on the device of the rows: AttendSpans for each of
// SegmentCalls. The backward keeps what the forward pass read and returned, and no copies of a
// stem's keys: it makes them again.
std::shared_ptr<AttentionSource> TorchPackedAttention(const ModelConfig& config,
                                                      RowSegments segments);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_PACKED_ATTENTION_H_
