#ifndef RECKON_COMMON_MODEL_OPS_ROWS_H_
#define RECKON_COMMON_MODEL_OPS_ROWS_H_

#include <cstdint>

#include "common/model/ops/gemm.h"

namespace reckon {

// What a transformer does to one row at a time. Outputs are of the element type given; sums are in
// one fixed order; rows are spread over the thread pool.

// out = x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich, arXiv 1910.07467). x [rows, n]
// fp32.
void RmsNormRows(const float* x, const float* weight, int64_t rows, int64_t n, float eps,
                 Element element, void* out);

// Its gradient: dx from dy (of the element type), and dweight += the rows' shares, summed in one
// fixed order.
void RmsNormRowsBackward(const float* x, const float* weight, const void* dy, int64_t rows,
                         int64_t n, float eps, Element element, float* dx, float* dweight);

// Rotary position embedding, Hugging Face's half-split convention: lanes d and d + dim/2 are a
// pair, rotated by position * frequency[d]. In place on `heads` heads of each row; row stride
// ld. `inverse` rotates back.
void RopeRows(void* x, const int32_t* positions, int64_t rows, int64_t heads, int64_t dim,
              int64_t ld, const float* frequency, bool inverse, Element element);

// RMS norm of `heads` heads of dim each, from x on, in rows of stride ld. In place.
void HeadNormRows(void* x, int64_t rows, int64_t heads, int64_t dim, int64_t ld,
                  const float* weight, float eps, Element element);
// Its gradient, d to d in place; dweight += the shares of all rows and heads, if not null.
void HeadNormRowsBackward(const void* x, void* d, int64_t rows, int64_t heads, int64_t dim,
                          int64_t ld, const float* weight, float eps, Element element,
                          float* dweight);

// sums[n] += the rows of x [rows, n], in order.
void AddColumnSums(const void* x, int64_t rows, int64_t n, int64_t ld, Element element,
                   float* sums);

// out [rows, n] = silu(gate) * up for gate_up [rows, 2n] (gate first).
void SwiGluRows(const void* gate_up, int64_t rows, int64_t n, Element element, void* out);

// Its gradient: d_gate_up [rows, 2n] from gate_up and d [rows, n].
void SwiGluRowsBackward(const void* gate_up, const void* d, int64_t rows, int64_t n,
                        Element element, void* d_gate_up);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_ROWS_H_
