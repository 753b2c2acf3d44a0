#ifndef RECKON_COMMON_MODEL_TRANSFER_WIRE_H_
#define RECKON_COMMON_MODEL_TRANSFER_WIRE_H_

#include <cstdint>

namespace reckon {

// Tags of WeightChunk (proto/weights.proto), whose messages the server makes and the fetch takes
// apart by hand, so that the chunk's bytes are neither copied into a message nor out of one.
inline constexpr uint8_t kIndexTag = 1 << 3 | 0;  // field 1, a varint
inline constexpr uint8_t kDataTag = 2 << 3 | 2;   // field 2, length and bytes
inline constexpr uint8_t kDeltaTag = 3 << 3 | 2;  // field 3, the same

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_WIRE_H_
