#ifndef RECKON_COMMON_MODEL_DECODE_FUSED_LAYERS_H_
#define RECKON_COMMON_MODEL_DECODE_FUSED_LAYERS_H_

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"
#include "common/model/config.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kv_pages.h"
#include "common/model/transformer.h"

namespace reckon {

// Whether the kernels of kernels/cuda compute the layers of such a model: its head size has an
// attention kernel.
bool HasFusedLayers(const ModelConfig& config);

// queries [rows, heads, dim] of a layer whose keys and values are in `cache`, those of these rows
// as well -> [rows, heads, dim].
using AttendQueries =
    absl::FunctionRef<at::Tensor(const at::Tensor& queries, const KvPages::Layer& cache)>;

// The layers of a model and its final norm by the kernels of kernels/cuda, for decode steps and
// prompts alike. Each layer is nine launches, four of them products:
//
//   norm | product | head norm, RoPE, write into the cache | attend | product that adds to x
//   norm | product | SiLU product | product that adds to x
//
// x [rows, hidden] fp32 is overwritten; rows of `rows` with a position below 0 are idle. `table` is
// that of FusedRopeTable. Returns [rows, hidden] of the model's dtype. Bits of a row: with a row
// tile (kernels/torch/row_tiles.h) and FusedPagedAttention they depend on its own sequence alone,
// and are the same in a prompt as in a decode step; without, products depend on the rows beside it.
at::Tensor RunFusedLayers(const Transformer& model, const KvPages& cache, at::Tensor x,
                          const at::Tensor& table, const DeviceRows& rows, AttendQueries attend);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODE_FUSED_LAYERS_H_
