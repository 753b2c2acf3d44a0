#ifndef RECKON_COMMON_WEIGHTS_MANIFEST_H_
#define RECKON_COMMON_WEIGHTS_MANIFEST_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/weights.pb.h"

namespace reckon {

// Bytes of one chunk: well below the message limit, large enough to hash at full speed.
inline constexpr uint64_t kChunkBytes = 4 << 20;

// What a manifest must hold before a byte is fetched for it: tensors contiguous and of their
// shapes' sizes, one 32-byte digest a chunk. INVALID_ARGUMENT names the field.
absl::Status CheckManifest(const WeightManifest& manifest);

// DATA_LOSS unless `chunk` is the one of this index, below the number of chunks: its size and its
// digest are the manifest's, which CheckManifest has passed.
absl::Status CheckChunk(const WeightManifest& manifest, uint64_t index, const WeightChunk& chunk);

// SHA-256 of `bytes`, 32 bytes.
std::string Sha256(absl::string_view bytes);

// Whether two models read the same tokens.
bool SameTokens(const WeightManifest& a, const WeightManifest& b);

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_MANIFEST_H_
