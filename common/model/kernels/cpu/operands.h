#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_OPERANDS_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_OPERANDS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/cpu/packed_matrix.h"

namespace reckon {

// Tensors as operands of Gemm. A gradient of a weight is dy^T x: TransposedLeft(dy) times
// PackedRows(x).

// x [rows, n] -> [n, rows rounded up to even], with zeros in the added column: a left operand.
at::Tensor TransposedLeft(const at::Tensor& x);
// to [n, to_ld] = from [rows, n]^T with row stride ld, on the caller's thread; columns beyond
// `rows` are zeros.
void TransposeRows(const uint16_t* from, int64_t rows, int64_t n, int64_t ld, uint16_t* to,
                   int64_t to_ld);
void TransposeRows(const float* from, int64_t rows, int64_t n, int64_t ld, float* to,
                   int64_t to_ld);
// x [rows, n], whose rows may be further apart -> the right operand B = x.
PackedMatrix PackedRows(const at::Tensor& x);
// x [rows, k] * B -> [rows, n] of x's dtype.
at::Tensor Multiply(const at::Tensor& x, const PackedMatrix& b);

// The address of x[row, column], where columns are adjacent.
const char* AddressOf(const at::Tensor& x, int64_t row, int64_t column = 0);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_OPERANDS_H_
