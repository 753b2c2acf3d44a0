#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_H_

#include <cstdint>

#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// Positions of a sequence whose keys and values share a page of the KV cache.
inline constexpr int64_t kPageTokens = 64;

// The widest head that AttendRow can compute. ModelConfig::Parse refuses others.
inline constexpr int64_t kMaxHeadDim = 256;

// The part of a page that belongs to one layer and one kv head, as the kernels lay it out:
//
//   offset 0         keys    bf16 [head_dim / 2][kPageTokens][2]    fp32 [head_dim][kPageTokens]
//   value_offset()   values  bf16 [kPageTokens / 2][head_dim][2]    fp32 [kPageTokens][head_dim]
//   page_bytes()
//
// Keys are transposed: 16 consecutive numbers (bf16: pairs) are the same lane of 16 positions, so a
// register of scores holds 16 positions and a dot product needs no sum across a register. Values
// are in the order of rows, because there the sum is over positions. For bf16, two lanes of a key
// and two positions of a value are neighbours, as vdpbf16ps reads them.
struct KvShape {
  Dtype dtype;
  int64_t head_dim;  // even, at most kMaxHeadDim
  int64_t element_bytes() const { return BytesOf(dtype); }
  int64_t value_offset() const { return head_dim * kPageTokens * element_bytes(); }
  int64_t page_bytes() const { return 2 * value_offset(); }
};

// Writes the key and value [head_dim] of one position into slot `position % kPageTokens`.
void WriteKv(const KvShape& shape, char* page, int64_t position, const void* k, const void* v);

// Attention of one query row for the `heads` query heads that share a kv head:
//
//   out[h] = sum_t p[h][t] v[t],   p[h] = softmax_t(q[h] . k[t] / sqrt(head_dim)),   t < keys
//
// q and out are [heads, head_dim] of the shape's dtype; position t is in pages[t / kPageTokens].
// `scratch` holds heads * (keys rounded up to kPageTokens) floats. `next`: as many pages, which
// this thread reads after these; a kernel may fetch them into the caches meanwhile. It may be
// `pages`.
//
// Row-invariant like Gemm: scores and softmax are fp32, the maximum is found first, and both sums
// (over head_dim and over t) run in one fixed order. So the result depends on q and on the keys and
// values of positions 0 .. keys-1 only. What else is in the pages, even NaN, has no effect.
void AttendRow(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
               int64_t keys, const char* const* next, float* scratch, void* out);

using AttendRowKernel = decltype(&AttendRow);
// The fastest kernel that a CPU with these features can run for this shape.
AttendRowKernel ChooseAttention(const CpuFeatures& cpu, const KvShape& shape);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_H_
