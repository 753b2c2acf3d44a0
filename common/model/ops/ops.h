#ifndef RECKON_COMMON_MODEL_OPS_OPS_H_
#define RECKON_COMMON_MODEL_OPS_OPS_H_

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/ops/adapter.h"
#include "common/model/ops/gemm.h"

namespace reckon {

// The operations a transformer is composed of, over tensors whose first dimension is rows. With
// grad mode on and an input that requires grad, each records its backward. Gradients of parameters
// are added to param.grad() in place, in fp32 and in one fixed order; they never travel as tensors.
// The residual stream is fp32; everything between is of the compute type. device_ops.h has the same
// operations for other devices.

// The weight of one or more linear layers that read the same input, packed side by side.
struct LinearWeight {
  std::vector<at::Tensor> parts;       // [n_i, k] fp32 leaves when trainable, else empty
  std::vector<Adapter> adapters;       // one a part when they are trained instead, else empty
  PackedMatrix forward;                // k x sum(n_i)
  PackedMatrix backward;               // sum(n_i) x k; only when gradients flow
  at::Tensor device_weight;            // [sum(n_i), k] of the compute type: what device_ops.h reads
                                       // instead of the packed copies
  at::Tensor bias;                     // [sum(n_i)] fp32 values of the forward pass, or undefined
  std::vector<at::Tensor> bias_parts;  // its fp32 leaves when trainable, else empty
  bool trainable() const { return !parts.empty(); }
};

// A vector or table with the values the forward pass uses (rounded to the compute type, held as
// fp32 or bf16) and, when trainable, its fp32 leaf.
struct TableWeight {
  at::Tensor values;  // norm: [n] fp32; embedding: [vocab, hidden] bf16 or fp32
  at::Tensor leaf;    // undefined unless trainable
};

// tokens [rows] int32 -> [rows, hidden] fp32.
at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table);
// x [rows, n] fp32 -> [rows, n] of `element`.
at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps, Element element);
// x [rows, k] -> [rows, n], same type.
at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight);
// residual [rows, n] fp32 + x [rows, k] * W -> [rows, n] fp32. Without grad, in place.
at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x, const LinearWeight& weight);
// Normalises the query heads of qkv [rows, (heads + 2 * kv_heads) * dim] by `query` and its key
// heads by `key`. Without grad, in place.
at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query, const TableWeight& key,
                    int64_t heads, int64_t kv_heads, int64_t dim, double eps);
// Rotates the first `heads` heads of x [rows, m] by position * frequency[d], frequency
// [dim / 2] fp32. Without grad, in place.
at::Tensor Rope(const at::Tensor& x, const at::Tensor& positions, int64_t heads, int64_t dim,
                const at::Tensor& frequency);
// gate_up [rows, 2n] -> [rows, n].
at::Tensor SwiGlu(const at::Tensor& gate_up);
// Log-probability of targets [rows] int32 under softmax(logits / temperature) -> [rows] fp32.
at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double temperature);
// logits [rows, n] fp32, no gradient.
at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head);

// Log of the sum of exp(scale * logits); the one definition that sampler and learner share.
// `scratch`: n floats, left holding exp(scale * logits - max).
float LogSumExp(const float* logits, int64_t n, float scale, float* max, float* sum,
                float* scratch);

Element ElementOf(const at::Tensor& x);
at::ScalarType ScalarOf(Element element);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_OPS_H_
