#ifndef RECKON_COMMON_MODEL_OPS_ATTENTION_BACKWARD_H_
#define RECKON_COMMON_MODEL_OPS_ATTENTION_BACKWARD_H_

#include <cstdint>

#include "common/model/ops/packed_matrix.h"

namespace reckon {

// One sequence's query heads that share a kv head. Each pointer is to the first row; `stride`
// elements lie between rows, and the heads of a row stand side by side.
struct AttentionSlice {
  Element element;
  int64_t time;   // rows
  int64_t heads;  // query heads
  int64_t dim;    // of a head; even
  const void *q, *k, *v;
  int64_t stride;  // of q, k, v and their gradients
  const void* d_out;
  int64_t d_out_stride;
  void *dq, *dk, *dv;
};

// Gradients of causal softmax(q k^T / sqrt(dim)) v. The probabilities are computed again rather
// than kept; they and their gradients enter the products rounded to the element type, as in
// FlashAttention-2 (Dao, arXiv 2307.08691). On the caller's thread.
void AttentionBackward(const AttentionSlice& slice);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_ATTENTION_BACKWARD_H_
