#include "common/model/manifest_tensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model/files/safetensors.h"

namespace reckon {
namespace {

at::ScalarType StoredAs(const std::string& dtype) {
  return dtype == "BF16" ? at::kBFloat16 : dtype == "F16" ? at::kHalf : at::kFloat;
}

}  // namespace

absl::StatusOr<std::vector<TensorEntry>> FindTensors(const std::vector<TensorEntry>& wanted,
                                                     const WeightManifest& manifest,
                                                     absl::Span<const char> bytes, bool others) {
  std::map<std::string, const TensorEntry*> given;
  for (const TensorEntry& entry : manifest.tensors()) {
    if (!given.emplace(entry.name(), &entry).second) {
      return absl::InvalidArgumentError(absl::StrCat("weights: ", entry.name(), " given twice"));
    }
  }
  std::vector<TensorEntry> out;
  for (const TensorEntry& expected : wanted) {
    auto it = given.find(expected.name());
    if (it == given.end()) {
      return absl::InvalidArgumentError(absl::StrCat("weights: missing ", expected.name()));
    }
    const TensorEntry& entry = *it->second;
    std::vector<int64_t> shape(entry.shape().begin(), entry.shape().end());
    if (!std::equal(shape.begin(), shape.end(), expected.shape().begin(), expected.shape().end())) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: ", entry.name(), " has shape [", absl::StrJoin(shape, ", "),
                       "], config.json asks for [", absl::StrJoin(expected.shape(), ", "), "]"));
    }
    const std::optional<uint64_t> element = DtypeBytes(entry.dtype());
    if (!element) {
      return absl::InvalidArgumentError(absl::StrCat(
          "weights: ", entry.name(), " has type ", entry.dtype(), "; F32, BF16 and F16 are read"));
    }
    // Checked before the allocation, because a hostile config.json may ask for any size.
    uint64_t left = bytes.size(), needed = *element;
    left -= std::min<uint64_t>(left, entry.offset());
    for (int64_t n : shape) needed = n > 0 && needed <= left / n ? needed * n : left + 1;
    if (needed > left) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: ", entry.name(), " ends beyond the end of the buffer"));
    }
    out.push_back(entry);
    // What is left at the end is unexpected. A model with a tensor that nothing reads would compute
    // something else than its authors' code.
    given.erase(it);
  }
  if (!others && !given.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("weights: unexpected tensor ", given.begin()->first));
  }
  return out;
}

at::Tensor ViewOf(const TensorEntry& entry, absl::Span<const char> bytes) {
  const std::vector<int64_t> shape(entry.shape().begin(), entry.shape().end());
  const at::ScalarType type = StoredAs(entry.dtype());
  char* const data = const_cast<char*>(bytes.data()) + entry.offset();  // never written
  at::Tensor tensor;
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(type) == 0) {
    tensor = at::from_blob(data, shape, type);
  } else {
    tensor = at::empty(shape, type);
    std::memcpy(tensor.mutable_data_ptr(), data, tensor.nbytes());
  }
  // The kernels know bf16 and fp32; fp32 holds every F16 number.
  return tensor.scalar_type() == at::kHalf ? tensor.to(at::kFloat) : tensor;
}

}  // namespace reckon
