#ifndef RECKON_COMMON_MODEL_FILES_MANIFEST_H_
#define RECKON_COMMON_MODEL_FILES_MANIFEST_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/weights.pb.h"

namespace reckon {

// A WeightManifest (proto/weights.proto) describes a weight version as one flat buffer:
//
//   tensors   | embed_tokens | layers.0.q_proj | ...        | norm |    total_bytes
//   chunks    | 0             | 1             | 2             | 3  |    one digest each
//             0          chunk_bytes    2 * chunk_bytes             total_bytes
//
// A manifest has the digests of one kind. SHA-256 is for what crosses a network, where a source
// need not be trusted. XXH3, which is ten times as fast and finds damage but no forgery, is for a
// version whose publisher listens on loopback alone, so that no other host can be its source.
enum class DigestKind { kSha256, kXxh3 };

// Chunk size of the manifests that Reckon makes, well below the message limit of
// common/net/channel.h.
inline constexpr uint64_t kChunkBytes = 4 << 20;

// Places the tensors, of which name, dtype and shape are set, one after another: fills in offsets
// and total_bytes. INVALID_ARGUMENT names a tensor with a repeated or empty name, an unknown dtype,
// or a shape that is negative or overflows.
absl::Status LayOut(WeightManifest* manifest);

// Fills in chunk_bytes and the digests, on all cores.
void Digest(absl::Span<const char> bytes, WeightManifest* manifest,
            DigestKind kind = DigestKind::kSha256);
// The same in two steps, for who fills the buffer: makes room for the digests of total_bytes, then
// sets that of one chunk. Threads may set those of different chunks.
void BeginDigests(DigestKind kind, WeightManifest* manifest);
void SetDigest(uint64_t chunk, absl::Span<const char> bytes, WeightManifest* manifest);

// Chunks of a manifest that has digests.
uint64_t Chunks(const WeightManifest& manifest);
// All its digests in a row: equal if and only if the weights are.
std::string Digests(const WeightManifest& manifest);

// Checks a manifest from another program before any of its weights are fetched: the tensors are
// laid out as LayOut does, and there is one digest a chunk. INVALID_ARGUMENT names the field.
absl::Status CheckManifest(const WeightManifest& manifest);

// Bytes of chunk `index` of a manifest that passed CheckManifest; as below.
uint64_t ChunkSize(const WeightManifest& manifest, uint64_t index);
// Checks that `data` is chunk `index` of a manifest that passed CheckManifest: DATA_LOSS if its
// size or its digest differs. `index` must be below the number of chunks.
absl::Status CheckChunk(const WeightManifest& manifest, uint64_t index, absl::string_view data);
// The same for all chunks, on all cores.
absl::Status CheckChunks(const WeightManifest& manifest, absl::Span<const char> bytes);

// SHA-256 of `bytes`, 32 bytes.
std::string Sha256(absl::string_view bytes);

// Of all texts and their places: texts_sha256 of a manifest.
std::string TextsDigest(const FolderTexts& texts);
// Whether two models have the same tokenizer.
bool SameTokens(const FolderTexts& a, const FolderTexts& b);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_MANIFEST_H_
