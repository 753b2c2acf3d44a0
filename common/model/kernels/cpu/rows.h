#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_ROWS_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_ROWS_H_

#include <cstdint>

#include "common/model/kernels/dtype.h"

namespace reckon {

// What a transformer does to one row at a time, forward and backward. Arithmetic is fp32; `void*`
// operands are of the dtype given, widened when read and rounded when written. Rows are spread over
// the thread pool.
//
// Row-invariant like Gemm: a row's output is computed by one thread from that row alone, with every
// sum in a fixed order. Gradients of weights are sums over rows: each chunk of 64 rows is summed in
// order by one thread, then the chunks in order, so they do not depend on the number of threads.

// out = x / sqrt(mean(x^2) + eps) * weight (RMS norm; Zhang and Sennrich, arXiv 1910.07467).
// x [rows, n] fp32, weight [n], out [rows, n] of `dtype`.
void RmsNormRows(const float* x, const float* weight, int64_t rows, int64_t n, float eps,
                 Dtype dtype, void* out);
// dx [rows, n] fp32 from dy [rows, n] of `dtype`. dweight [n] += its gradient, unless null.
void RmsNormRowsBackward(const float* x, const float* weight, const void* dy, int64_t rows,
                         int64_t n, float eps, Dtype dtype, float* dx, float* dweight);

// The table of Ops::RopeTable: [rows, dim] from positions [rows] and frequency [dim / 2].
void RopeTableRows(const int32_t* positions, int64_t rows, int64_t dim, const float* frequency,
                   float magnitude, float* table);
// Rotary position embedding in Hugging Face's half-split convention: lanes d and d + dim/2 of a
// head are a pair that is rotated by angle d of the row's table. In place, on the first `heads`
// heads of each row; ld is the row stride. `inverse` rotates back, which is the backward.
void RopeRows(void* x, const float* table, int64_t rows, int64_t heads, int64_t dim, int64_t ld,
              bool inverse, Dtype dtype);

// RMS norm of each of `heads` adjacent heads of `dim` numbers, beginning at x. In place; ld is the
// row stride.
void HeadNormRows(void* x, int64_t rows, int64_t heads, int64_t dim, int64_t ld,
                  const float* weight, float eps, Dtype dtype);
// In place: d, the gradient of the output, becomes that of x. dweight [dim] += the gradient over
// all rows and heads, unless null.
void HeadNormRowsBackward(const void* x, void* d, int64_t rows, int64_t heads, int64_t dim,
                          int64_t ld, const float* weight, float eps, Dtype dtype, float* dweight);

// out [rows, n] = silu(gate) * up for gate_up [rows, 2n], gate first (SwiGLU; Shazeer, arXiv
// 2002.05202).
void SwiGluRows(const void* gate_up, int64_t rows, int64_t n, Dtype dtype, void* out);
// d_gate_up [rows, 2n] from gate_up and d [rows, n].
void SwiGluRowsBackward(const void* gate_up, const void* d, int64_t rows, int64_t n, Dtype dtype,
                        void* d_gate_up);

// sums[n] += the rows of x [rows, n], in order, on the caller's thread: the gradient of a bias.
void AddColumnSums(const void* x, int64_t rows, int64_t n, int64_t ld, Dtype dtype, float* sums);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_ROWS_H_
