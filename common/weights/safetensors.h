#ifndef RECKON_COMMON_WEIGHTS_SAFETENSORS_H_
#define RECKON_COMMON_WEIGHTS_SAFETENSORS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/weights.pb.h"

namespace reckon {

// The head of a safetensors file: u64 length, JSON of names to dtype, shape and offsets, then the
// data. The file may come from anyone: everything is checked before anything is believed.
struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in offset order, without holes or overlap
  uint64_t data_begin = 0;           // bytes before the data
  uint64_t data_bytes = 0;
};

// Limits of what is read. The first is the format's own.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr size_t kMaxTensors = 100'000;
inline constexpr size_t kMaxTensorName = 1024;
inline constexpr int kMaxTensorRank = 8;

// `head`: the file's first bytes, at least the header's (the whole file will do); `file_bytes`: its
// size. INVALID_ARGUMENT says what is wrong, with the tensor's name.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view head,
                                                         uint64_t file_bytes);

// Length and JSON, padded so that the data begins at a multiple of 8. Entries as LayOut left them.
std::string FormatSafetensorsHeader(const WeightManifest& manifest);

// Bytes of one element; nothing for a dtype that Reckon does not train or serve.
std::optional<uint64_t> DtypeBytes(absl::string_view dtype);

// Bytes of a tensor. INVALID_ARGUMENT: unknown dtype, dimension below 1, too many dimensions, or a
// product that overflows.
absl::StatusOr<uint64_t> TensorBytes(const TensorEntry& tensor);

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_SAFETENSORS_H_
