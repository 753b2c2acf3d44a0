#include "common/model/kernels/torch/segment_calls.h"

namespace reckon {

std::vector<SegmentCall> SegmentCalls(const RowSegments& segments) {
  std::vector<SegmentCall> out;
  for (int64_t s = 0; s < segments.size(); ++s) {
    const int64_t queries = segments.Count(s), stem = segments.after[s];
    if (queries == 0) continue;
    const int64_t before = stem == RowSegments::kNoSegment ? 0 : segments.Count(stem);
    const int64_t keys = before + queries;
    if (out.empty() || out.back().spans.keys() + keys > segments.rows()) {
      out.push_back({.first_row = segments.starts[s]});
    }
    SegmentCall& call = out.back();
    call.spans.Add(queries, keys);
    for (int64_t i = 0; i < before; ++i) call.key_rows.push_back(segments.starts[stem] + i);
    for (int64_t i = 0; i < queries; ++i) call.key_rows.push_back(segments.starts[s] + i);
  }
  return out;
}

}  // namespace reckon
