#ifndef RECKON_COMMON_MODEL_PACKED_FORM_H_
#define RECKON_COMMON_MODEL_PACKED_FORM_H_

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/functional/function_ref.h"
#include "common/model/backend.h"
#include "common/model/kernels/dtype.h"
#include "common/model/kernels/pieces.h"
#include "common/model/weight_sources.h"

namespace reckon {

// The form in which passes read weights, all but adapters: rounded to a dtype, as a published
// version is, and laid out as a backend's matrix products read them.
//
//   linear weights   CPU kernels: panels of columns (kernels/cpu/packed_matrix.h); LibTorch: rows
//   their biases     fp32, because kernels add them to fp32 sums
//   norms            fp32
//   embedding        the dtype
//
// It is in memory of this process or, with Pieces, in memory that another process can map: Pack and
// Place take the same pieces in the same order, so what one process has packed another finds.
//
// Owned by TransformerWeights. Has no state but what it is made with.
class PackedForm {
 public:
  PackedForm(Dtype dtype, Backend backend) : dtype_(dtype), backend_(backend) {}

  // What is called with each tensor before it is packed.
  using Change = absl::FunctionRef<void(const at::Tensor& tensor)>;
  static void Unchanged(const at::Tensor&) {}

  // In words: where it is equal, a process can read what another has packed.
  std::string Layout() const;
  // Of the memory that all of `sources` take.
  uint64_t Bytes(const WeightSources& sources) const;
  // `backward`: also what a backward pass reads. `memory` null: memory of this process.
  void Pack(const WeightSources& sources, bool backward, Pieces* memory = nullptr,
            Change change = Unchanged) const;
  // The tables alone.
  void PackTables(const WeightSources& sources, Pieces* memory = nullptr,
                  Change change = Unchanged) const;
  // What Pack does to the weights, where `memory` has been packed already.
  void Place(const WeightSources& sources, Pieces* memory) const;

 private:
  at::ScalarType TableType(const at::Tensor& table) const;

  const Dtype dtype_;
  const Backend backend_;
};

// All of `bytes` [size] kByte.
Pieces PiecesOf(const at::Tensor& bytes);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_PACKED_FORM_H_
