#ifndef RECKON_COMMON_MODEL_KERNELS_TORCH_ROW_TILES_H_
#define RECKON_COMMON_MODEL_KERNELS_TORCH_ROW_TILES_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/model/backend.h"
#include "common/model/config.h"
#include "common/model/kernels/dtype.h"

namespace reckon {

// The row-invariant mode of LibTorch's products (model.row_invariant). A library chooses how it
// computes a product, and with that the order of each element's sum, by the shape, of which the
// number of rows is a part: so a row would have other bits in another batch. In this mode the
// products of a forward pass have one number of rows, whatever the pass has:
//
//   rows of a pass       0 .. 255 | 256 .. 511 | 512 .. 599   zeros
//   products of             256   |    256     |        256
//
// The bits of a row then depend on it alone, if the library computes equal shapes alike, which
// LibTorch and cuBLAS do on one stream, and the rows of a product alike, which no library promises:
// CheckRowsAlike tries it. The price is in docs/cuda.md.
//
// The tile is one for the process, as LibTorch's own choices are (at::globalContext). It is set
// before the first pass. 0: products have the rows of their pass.
int64_t RowTile();
void SetRowTile(int64_t rows);

// The tile of the mode. Wide enough that the decode steps of most batches are one product, which
// reads the weights once; a step of 256 rows in bf16 does about as many operations for each byte of
// the weights as GPUs of today can. A narrower one would read them several times.
inline constexpr int64_t kRowTile = 256;

// `rows`, and what fills the last tile.
int64_t WithWholeTiles(int64_t rows);

// Calls product(a, out) with the rows of a [rows, k] and out [rows, n] of one tile after another.
// In the place of a last tile that is not full it gets copies that are, with zeros in their other
// rows. `adds`: the product reads `out`.
void ForRowTiles(const at::Tensor& a, const at::Tensor& out, bool adds,
                 absl::FunctionRef<void(const at::Tensor& a, at::Tensor out)> product);
// x [rows, ..] with zeros up to a whole number of tiles.
at::Tensor FillTiles(const at::Tensor& x);

// With a tile: whether `product` of x [rows, k] and a weight [n, k] computes equal rows of x alike,
// for the weights of a model of this shape. FAILED_PRECONDITION: it does not. May throw what
// LibTorch throws.
using RowProduct = absl::FunctionRef<at::Tensor(const at::Tensor& x, const at::Tensor& weight)>;
absl::Status CheckRowsAlike(const ModelConfig& config, Dtype dtype, Backend backend,
                            RowProduct product);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_TORCH_ROW_TILES_H_
