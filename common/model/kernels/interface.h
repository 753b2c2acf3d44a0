#ifndef RECKON_COMMON_MODEL_KERNELS_INTERFACE_H_
#define RECKON_COMMON_MODEL_KERNELS_INTERFACE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/backend.h"
#include "common/model/kernels/cpu/packed_matrix.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// A low-rank adapter of a linear layer (Hu et al. 2021): its weight is W + scale * B A, with W
// frozen. A pass never forms the sum, on neither side: it computes x W^T + (x A^T) (scale * B)^T.
// So a version is its adapters alone, and the weights under them are packed once.
struct Adapter {
  at::Tensor a;      // [rank, k], of the learner an fp32 leaf
  at::Tensor b;      // [n, rank], the same
  double scale = 0;  // alpha / rank
};

// The adapters of a LinearWeight, one a part, as a pass reads them: rounded to the dtype, which is
// how a version has them. Written by Ops::PackAdapters, which fills only what its own
// implementation reads. R = ends.size() * rank.
struct PackedAdapters {
  std::vector<Adapter> parts;  // what a backward pass adds gradients to; empty unless trainable
  std::vector<int64_t> ends;   // of the parts, in columns of the layer's output
  int64_t rank = 0;   // of each part: that of A, and for the CPU kernels rounded up to even
  PackedMatrix down;  // CPU kernels: A^T side by side, k x R
  PackedMatrix up;    // CPU kernels: scale * B^T, R x n; zero where rows and columns are of
                      // different parts
  PackedMatrix down_backward;             // CPU kernels: A, R x k; only if trainable, as the next
  std::vector<PackedMatrix> up_backward;  // CPU kernels: scale * B of a part, n_i x rank
  at::Tensor torch_down;                  // LibTorch: A, [R, k]
  std::vector<at::Tensor> torch_up;       // LibTorch: scale * B of a part, [n_i, rank]
};

// The weight of one or more linear layers that read the same input, side by side: W is [n, k] with
// n = sum(n_i). Cheap to copy: copies share their tensors and packed matrices.
struct LinearWeight {
  // What a forward and backward pass read, rounded to the dtype. Written by Ops::Pack, which fills
  // only what its own implementation reads.
  PackedMatrix forward;     // CPU kernels: W^T, k x n
  PackedMatrix backward;    // CPU kernels: W, n x k; only if trainable
  at::Tensor torch_weight;  // LibTorch: W, [n, k]
  at::Tensor bias;          // [n] fp32, or undefined
  at::Tensor masked;        // of the head: int64 columns whose logits are -inf, or undefined
  // What a backward pass adds gradients to; empty unless trained. The head's leaf may have more
  // rows than n (ModelConfig::unused_rows), which get no gradient.
  std::vector<at::Tensor> parts;       // [n_i, k] fp32 leaves
  std::vector<at::Tensor> bias_parts;  // [n_i] fp32 leaves
  // Trained in place of `parts`; null: there are none, or they are switched off.
  std::shared_ptr<const PackedAdapters> adapters;
  // Of a layer that ranks divide: where the backward pass finds the weight, which is there only
  // while it runs. Null: a graph keeps this one.
  std::shared_ptr<const LinearWeight> in_backward;
};
// What a recorded backward keeps of a weight.
std::shared_ptr<const LinearWeight> ForBackward(const LinearWeight& weight);

// A vector or table. Cheap to copy.
struct TableWeight {
  at::Tensor
      values;  // rounded to the dtype. A norm: [n], held as fp32. An embedding: [vocab, hidden]
  at::Tensor leaf;  // fp32 leaf of the same shape; undefined unless trained
};

// The operations that a transformer is composed of. Two implementations:
//   kernels/cpu/cpu_ops      hand-written kernels, row-invariant (cpu/gemm.h)
//   kernels/torch/torch_ops  LibTorch's operations: on GPUs, and on the CPU as the oracle of tests.
//                            The same numbers to rounding; LibTorch promises no order of summation
//
// Shapes. The first dimension is rows: a row is one token of one sequence. The residual stream is
// fp32; all other activations have the model's Dtype. Tensors are contiguous and on the device of
// the backend.
//
// Autograd. With grad mode on and an input that requires grad, an operation records its backward in
// LibTorch's graph. The gradients of activations travel through the graph. Those of parameters do
// not: the backward adds them to leaf.grad(), in fp32 and in one fixed order, because a sum that
// autograd forms would need a second [n, k] tensor for each micro-batch.
// The graph holds copies of the weights it used, so it stays valid when the model packs new ones,
// loads others or is destroyed. Only the values of the leaves must not change before backward().
// A weight that is in_backward is not held: whoever made the graph puts it there first.
//
// Without a recorded backward, AddLinear, HeadNorm and Rope overwrite their first argument and
// return it.
//
// Stateless; any thread. Calls of the CPU kernels take turns on the thread pool. LibTorch throws
// when memory runs out (torch_status.h).
class Ops {
 public:
  virtual ~Ops() = default;

  // Writes what this implementation reads of weight [n, k], the concatenation of `parts` [n_i, k]
  // (bf16 or fp32), rounded to `dtype`. Keeps the memory of an earlier Pack if no graph holds it.
  virtual void Pack(const std::vector<at::Tensor>& parts, Dtype dtype, bool trainable,
                    LinearWeight* weight) const = 0;
  // The weight [n, k] that was packed last, of its dtype. May share its memory.
  virtual at::Tensor Unpack(const LinearWeight& weight) const = 0;
  // Adapters of the same rank.
  virtual std::shared_ptr<const PackedAdapters> PackAdapters(const std::vector<Adapter>& parts,
                                                             Dtype dtype, bool trainable) const = 0;
  // weight [n, k] of any dtype -> weight + scale * B A in fp32, without a gradient.
  virtual at::Tensor MergeAdapter(const at::Tensor& weight, const Adapter& adapter) const = 0;

  // tokens [rows] int32 -> [rows, hidden] fp32.
  virtual at::Tensor Embed(const at::Tensor& tokens, const TableWeight& table) const = 0;
  // x [rows, n] fp32 -> [rows, n] of `dtype`: x / sqrt(mean(x^2) + eps) * weight.
  virtual at::Tensor RmsNorm(const at::Tensor& x, const TableWeight& weight, double eps,
                             Dtype dtype) const = 0;
  // x [rows, k] -> x W^T + bias [rows, n], of x's dtype. Here and below W has its adapters.
  virtual at::Tensor Linear(const at::Tensor& x, const LinearWeight& weight) const = 0;
  // residual [rows, n] fp32 + x [rows, k] W^T + bias -> [rows, n] fp32.
  virtual at::Tensor AddLinear(const at::Tensor& residual, const at::Tensor& x,
                               const LinearWeight& weight) const = 0;
  // qkv [rows, (heads + 2 * kv_heads) * dim]: the RMS norm of each query head by `query`, of each
  // key head by `key`, both [dim]. Values are left as they are.
  virtual at::Tensor HeadNorm(const at::Tensor& qkv, const TableWeight& query,
                              const TableWeight& key, int64_t heads, int64_t kv_heads, int64_t dim,
                              double eps) const = 0;
  // positions [rows] int32, frequency [dim / 2] fp32 -> [rows, dim] fp32: of each angle, which is
  // position times frequency, the cosine times `magnitude`, and then the sines in the same way. The
  // layers of a pass share it.
  virtual at::Tensor RopeTable(const at::Tensor& positions, const at::Tensor& frequency,
                               double magnitude) const = 0;
  // Rotates the first `heads` heads of x [rows, m] by the angles of their rows (rotary position
  // embedding, config.h).
  virtual at::Tensor Rope(const at::Tensor& x, const at::Tensor& table, int64_t heads,
                          int64_t dim) const = 0;
  // gate_up [rows, 2n] -> silu(gate) * up [rows, n].
  virtual at::Tensor SwiGlu(const at::Tensor& gate_up) const = 0;
  // hidden [rows, k] -> logits [rows, vocab] fp32, -inf where masked. Records no backward.
  virtual at::Tensor HeadLogits(const at::Tensor& hidden, const LinearWeight& head) const = 0;
  // hidden [rows, k], targets [rows] int32 -> [rows] fp32, the log-probability of each target under
  // softmax(logits * InverseTemperature(temperature)) (sampling.h). Holds the logits of a bounded
  // number of rows, in both directions; the backward computes them again.
  virtual at::Tensor HeadLogProb(const at::Tensor& hidden, const LinearWeight& head,
                                 const at::Tensor& targets, double temperature) const = 0;
};

// The implementation that a backend uses.
const Ops& OpsOf(Backend backend);

Dtype DtypeOf(const at::Tensor& x);  // bf16, or else fp32
at::ScalarType ScalarTypeOf(Dtype dtype);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_INTERFACE_H_
