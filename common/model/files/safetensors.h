#ifndef RECKON_COMMON_MODEL_FILES_SAFETENSORS_H_
#define RECKON_COMMON_MODEL_FILES_SAFETENSORS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/weights.pb.h"

namespace reckon {

// The header of a safetensors file (huggingface.co/docs/safetensors):
//
//   u64 length | JSON of that length: {name: {dtype, shape, data_offsets: [begin, end]}, ..} | data
//
// The file may come from anyone, so everything is checked before it is used.
struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in offset order, without gaps or overlap
  uint64_t data_begin = 0;           // offset of the data in the file
  uint64_t data_bytes = 0;
};

// Limits of what is read.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // the format's own
inline constexpr size_t kMaxTensors = 100'000;
inline constexpr size_t kMaxTensorName = 1024;
inline constexpr int kMaxTensorRank = 8;

// `head`: the first bytes of the file, at least the whole header; `file_bytes`: the size of the
// file. INVALID_ARGUMENT says what is wrong and names the tensor.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view head,
                                                         uint64_t file_bytes);

// Length and JSON for the tensors of a manifest that LayOut has laid out, padded so that the data
// begins at a multiple of 8.
std::string FormatSafetensorsHeader(const WeightManifest& manifest);

// Bytes of one element; nullopt for types other than F32, BF16 and F16, which Reckon does not
// compute with.
std::optional<uint64_t> DtypeBytes(absl::string_view dtype);

// Bytes of a tensor. INVALID_ARGUMENT: a type without DtypeBytes, a dimension below 1, too many
// dimensions, or a product that overflows.
absl::StatusOr<uint64_t> TensorBytes(const TensorEntry& tensor);
// The same for every type of the format, which a file may have for tensors that nobody needs.
absl::StatusOr<uint64_t> StoredBytes(const TensorEntry& tensor);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_SAFETENSORS_H_
