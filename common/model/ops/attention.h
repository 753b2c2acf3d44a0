#ifndef RECKON_COMMON_MODEL_OPS_ATTENTION_H_
#define RECKON_COMMON_MODEL_OPS_ATTENTION_H_

#include <cstdint>

#include "common/model/ops/gemm.h"

namespace reckon {

// Keys and values of one sequence, layer and kv head lie in pages of kPageTokens positions, laid
// out so that a query meets 16 keys in one register and never needs a horizontal sum:
//   bf16: K [head_dim/2][kPageTokens][2], then V [kPageTokens/2][head_dim][2]
//   fp32: K [head_dim][kPageTokens],      then V [kPageTokens][head_dim]
inline constexpr int64_t kPageTokens = 64;

struct KvShape {
  Element element;
  int64_t head_dim;  // even
  int64_t element_bytes() const { return element == Element::kBf16 ? 2 : 4; }
  int64_t value_offset() const { return head_dim * kPageTokens * element_bytes(); }
  int64_t page_bytes() const { return 2 * value_offset(); }
};

// Writes one position's key and value [head_dim] into slot `position % kPageTokens` of its page.
void WriteKv(const KvShape& shape, char* page, int64_t position, const void* k, const void* v);

// Attention of `heads` query heads that share a kv head, for one query row: q and out are
// [heads, head_dim] of the shape's element type. Keys are positions 0 .. keys-1, in `pages`.
// Softmax in fp32, max first, then one sum in position order, so the bits depend on nothing but q
// and the keys. `scratch`: heads * keys rounded up to kPageTokens floats.
void AttendRow(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
               int64_t keys, float* scratch, void* out);

void AttendRowPortable(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                       int64_t keys, float* scratch, void* out);
// bf16 only, head_dim a multiple of 16 up to 128.
void AttendRowAvx512(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                     int64_t keys, float* scratch, void* out);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_ATTENTION_H_
