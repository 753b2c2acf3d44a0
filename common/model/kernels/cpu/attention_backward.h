#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_BACKWARD_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_BACKWARD_H_

#include <cstdint>
#include <vector>

#include "common/model/kernels/dtype.h"

namespace reckon {

// Adjacent rows of a pass, in position order.
struct RowRange {
  int64_t first, count;
};

// The query heads that share a kv head, of one sequence or of several that begin with the same
// rows: the stem is a sequence, and each branch continues it. Pointers are to row 0 of the pass;
// `stride` elements separate rows, and the heads of a row are adjacent.
struct AttentionSlice {
  Dtype dtype;
  RowRange stem;
  std::vector<RowRange> branches;
  int64_t heads;  // query heads
  int64_t dim;    // of a head; even
  const void *q, *k, *v;
  int64_t stride;  // of q, k, v and their gradients
  const void* d_out;
  int64_t d_out_stride;
  void *dq, *dk, *dv;
};

// The gradients of out = P v with P = softmax(S), S = q k^T / sqrt(dim), causal:
//
//   dv = P^T d_out      dP = d_out v^T      dS = P * (dP - rowsum(P * dP)) / sqrt(dim)
//   dq = dS k           dk = dS^T q
//
// P is computed again instead of being kept from the forward pass, and P and dS enter the products
// rounded to the dtype, both as in FlashAttention-2 (Dao, arXiv 2307.08691). Works on 64 positions
// of queries at a time and on the keys that they see; dk and dv are summed over them in fp32, in
// order. The stem's are the sum over itself and its branches, rounded once. Runs on the caller's
// thread; a slice's result does not depend on other slices.
void AttentionBackward(const AttentionSlice& slice);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_BACKWARD_H_
