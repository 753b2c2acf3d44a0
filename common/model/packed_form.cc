#include "common/model/packed_form.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

// Inputs and outputs of a layer whose weight has these parts.
struct LinearShape {
  int64_t k, n;
};
LinearShape ShapeOf(const std::vector<at::Tensor>& parts) {
  LinearShape out = {parts[0].size(1), 0};
  for (const at::Tensor& part : parts) out.n += part.size(0);
  return out;
}

// The next piece as a tensor.
at::Tensor InPiece(at::IntArrayRef sizes, at::TensorOptions options, Pieces* memory) {
  const auto elements = static_cast<uint64_t>(c10::multiply_integers(sizes));
  std::shared_ptr<char[]> piece = memory->Take(elements * options.dtype().itemsize());
  return at::from_blob(piece.get(), sizes, [piece](void*) {}, options);
}

// `values`, in the next piece if there is memory for them.
at::Tensor InMemory(const at::Tensor& values, Pieces* memory) {
  if (memory == nullptr) return values;
  return InPiece(values.sizes(), values.options(), memory).copy_(values);
}

}  // namespace

Pieces PiecesOf(const at::Tensor& bytes) {
  return {std::make_shared<const at::Tensor>(bytes), static_cast<char*>(bytes.mutable_data_ptr()),
          static_cast<uint64_t>(bytes.numel())};
}

std::string PackedForm::Layout() const {
  return absl::StrCat(backend_ == Backend::kCpuKernels
                          ? absl::StrCat("panels of ", kPanelColumns, " columns, ")
                          : "rows, ",
                      dtype_ == Dtype::kBf16 ? "BF16" : "F32");
}

uint64_t PackedForm::Bytes(const WeightSources& sources) const {
  uint64_t bytes = 0;
  for (const LinearSource& source : sources.linear) {
    const auto [k, n] = ShapeOf(source.parts);
    bytes += Pieces::Aligned(backend_ == Backend::kCpuKernels
                                 ? PackedMatrix::Bytes(dtype_, k, n)
                                 : static_cast<uint64_t>(n * k) * BytesOf(dtype_));
    if (!source.bias.empty()) bytes += Pieces::Aligned(static_cast<uint64_t>(n) * sizeof(float));
  }
  for (const auto& [table, source] : sources.tables) {
    bytes += Pieces::Aligned(static_cast<uint64_t>(source.numel()) *
                             c10::elementSize(TableType(source)));
  }
  return bytes;
}

void PackedForm::Place(const WeightSources& sources, Pieces* memory) const {
  const at::TensorOptions here = at::TensorOptions().device(DeviceOf(backend_));
  for (const LinearSource& source : sources.linear) {
    const auto [k, n] = ShapeOf(source.parts);
    if (backend_ == Backend::kCpuKernels) {
      source.weight->forward.Place(dtype_, k, n, memory);
    } else {
      source.weight->torch_weight = InPiece({n, k}, here.dtype(ScalarTypeOf(dtype_)), memory);
    }
    if (!source.bias.empty()) source.weight->bias = InPiece({n}, here.dtype(at::kFloat), memory);
  }
  for (const auto& [table, source] : sources.tables) {
    table->values = InPiece(source.sizes(), here.dtype(TableType(source)), memory);
  }
}

void PackedForm::Pack(const WeightSources& sources, bool backward, Pieces* memory,
                      Change change) const {
  for (const LinearSource& source : sources.linear) {
    for (const at::Tensor& part : source.parts) change(part);
    for (const at::Tensor& part : source.bias) change(part);
    // To the device one layer after another: of the model there is no second copy.
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : source.parts) parts.push_back(part.to(DeviceOf(backend_)));
    const auto [k, n] = ShapeOf(parts);
    const bool panels = backend_ == Backend::kCpuKernels;
    if (memory != nullptr && panels) source.weight->forward.Place(dtype_, k, n, memory);
    OpsOf(backend_).Pack(parts, dtype_, backward, source.weight);
    if (!panels) source.weight->torch_weight = InMemory(source.weight->torch_weight, memory);
    if (source.bias.empty()) continue;
    std::vector<at::Tensor> rounded;
    for (const at::Tensor& part : source.bias) {
      rounded.push_back(part.detach().to(ScalarTypeOf(dtype_)));
    }
    // Rounded like the weights, because a published version is, and widened again, because the
    // kernels add it to fp32 sums.
    const at::Tensor bias = at::cat(rounded).to(DeviceOf(backend_), at::kFloat);
    source.weight->bias = InMemory(bias, memory);
  }
  PackTables(sources, memory, change);
}

void PackedForm::PackTables(const WeightSources& sources, Pieces* memory, Change change) const {
  for (const auto& [table, source] : sources.tables) {
    change(source);
    // Norms are rounded too, although kernels read them as fp32: actors only have rounded ones.
    const at::Tensor values = source.detach().to(DeviceOf(backend_), ScalarTypeOf(dtype_));
    table->values = InMemory(values.to(TableType(source)), memory);
  }
}

at::ScalarType PackedForm::TableType(const at::Tensor& table) const {
  return table.dim() == 1 ? at::kFloat : ScalarTypeOf(dtype_);
}

}  // namespace reckon
