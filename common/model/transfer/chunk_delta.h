#ifndef RECKON_COMMON_MODEL_TRANSFER_CHUNK_DELTA_H_
#define RECKON_COMMON_MODEL_TRANSFER_CHUNK_DELTA_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// The difference of a chunk and the same chunk of an older version, without loss. A step of
// reinforcement learning moves a weight by less than half of the last bit of its bf16 number,
// mostly, so that few numbers change, by one or two. The bytes are read as words of 16 bits; a
// difference is, for each word that changed,
//
//   varint: words that are equal before it | varint: how far it moved, modulo 2^16, in zigzag order
//
// What a difference gives is checked by the chunk's digest, as if the chunk had come. Sizes are
// even, as of all that a manifest describes.
//
// Empty where it would be longer than a quarter of the chunk: then the chunk itself is sent.
std::string ChunkDelta(absl::Span<const char> older, absl::Span<const char> newer);

// Changes `chunk`, the older one, into the newer one. DATA_LOSS: no ChunkDelta makes such bytes of
// a chunk of this size; the chunk's content is then anything.
absl::Status ApplyDelta(absl::string_view delta, absl::Span<char> chunk);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_CHUNK_DELTA_H_
