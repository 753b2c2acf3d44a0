#ifndef RECKON_COMMON_MODEL_OPS_OPERANDS_H_
#define RECKON_COMMON_MODEL_OPS_OPERANDS_H_

#include "ATen/core/Tensor.h"
#include "common/model/ops/packed_matrix.h"

namespace reckon {

// Tensors [rows, n] of the compute type as operands of Gemm, for the gradients of weights.

// As left operand: [n, rows rounded up to even], zeros behind.
at::Tensor Transposed(const at::Tensor& x);
// As right operand: rows x n.
PackedMatrix PackedRows(const at::Tensor& x);
// Where a row begins.
const char* RowOf(const at::Tensor& x, int64_t row);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_OPERANDS_H_
