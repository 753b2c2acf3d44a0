#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_BACKWARD_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_BACKWARD_H_

#include <cstdint>

#include "common/model/kernels/dtype.h"

namespace reckon {

// The query heads of one sequence that share a kv head. Pointers are to the first row; `stride`
// elements separate rows, and the heads of a row are adjacent.
struct AttentionSlice {
  Dtype dtype;
  int64_t time;   // rows
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
// rounded to the dtype, both as in FlashAttention-2 (Dao, arXiv 2307.08691). Holds [heads * time,
// time] fp32 twice. Runs on the caller's thread; a slice's result does not depend on other slices.
void AttentionBackward(const AttentionSlice& slice);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_BACKWARD_H_
