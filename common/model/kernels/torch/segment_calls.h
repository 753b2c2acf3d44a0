#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_SEGMENT_CALLS_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_SEGMENT_CALLS_H_

#include <cstdint>
#include <vector>

#include "common/model/attention.h"
#include "common/model/kernels/torch/attention_spans.h"

namespace reckon {

// Consecutive segments of a pass whose attention is one call of the kernels; a segment is a span.
// Its queries are the rows first_row .. first_row + spans.queries() - 1 of the pass, and its keys
// are the rows key_rows, those of a branch's stem before its own. The kernels read keys that follow
// one another, so branches of one stem each need a copy of the stem's.
struct SegmentCall {
  int64_t first_row = 0;
  AttentionSpans spans;
  std::vector<int64_t> key_rows;  // [spans.keys()]
};

// The calls of a pass, in the order of its rows:
//
//   keys of a call <= max(rows of the pass, keys of its longest segment)
//
// However many samples share a prompt, what is copied for a call takes no more memory than the keys
// and values of a pass without shared prompts. Such a pass is one call, whose keys are its rows.
std::vector<SegmentCall> SegmentCalls(const RowSegments& segments);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_SEGMENT_CALLS_H_
