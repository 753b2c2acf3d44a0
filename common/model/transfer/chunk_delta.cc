#include "common/model/transfer/chunk_delta.h"

#include <cstdint>
#include <cstring>

#include "common/base/log.h"

namespace reckon {
namespace {

uint16_t WordAt(const char* bytes, size_t word) {
  uint16_t out;
  std::memcpy(&out, bytes + 2 * word, sizeof(out));
  return out;
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 128; value >>= 7) out->push_back(static_cast<char>(value | 128));
  out->push_back(static_cast<char>(value));
}

bool ReadVarint(absl::string_view* from, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !from->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(from->front());
    from->remove_prefix(1);
    *value |= uint64_t{byte & 127u} << shift;
    if (byte < 128) return true;
  }
  return false;
}

// 0, -1, 1, -2, .. as 0, 1, 2, 3, ..: a small move in either direction is a small number.
uint16_t Zigzag(uint16_t moved) {
  return static_cast<uint16_t>(moved << 1) ^ static_cast<uint16_t>(moved >> 15 ? 0xffff : 0);
}
uint16_t Unzigzag(uint16_t code) {
  return static_cast<uint16_t>(code >> 1) ^ static_cast<uint16_t>(code & 1 ? 0xffff : 0);
}

}  // namespace

std::string ChunkDelta(absl::Span<const char> older, absl::Span<const char> newer) {
  CHECK(older.size() == newer.size() && newer.size() % 2 == 0);
  const size_t words = newer.size() / 2, most = newer.size() / 4;
  std::string out;
  size_t equal = 0;
  for (size_t word = 0; word < words; ++word) {
    // Eight bytes at a time through what is equal, which is most.
    while (word + 4 <= words &&
           std::memcmp(older.data() + 2 * word, newer.data() + 2 * word, 8) == 0) {
      equal += 4;
      word += 4;
    }
    if (word == words) break;
    const uint16_t moved =
        static_cast<uint16_t>(WordAt(newer.data(), word) - WordAt(older.data(), word));
    if (moved == 0) {
      ++equal;
      continue;
    }
    AppendVarint(equal, &out);
    AppendVarint(Zigzag(moved), &out);
    equal = 0;
    if (out.size() > most) return "";
  }
  if (out.empty()) AppendVarint(words, &out);  // nothing changed
  return out.size() > most ? "" : out;
}

absl::Status ApplyDelta(absl::string_view delta, absl::Span<char> chunk) {
  const absl::Status bad = absl::DataLossError("the difference does not fit the chunk");
  const size_t words = chunk.size() / 2;
  size_t word = 0;
  uint64_t equal = 0;
  while (ReadVarint(&delta, &equal)) {
    if (equal > words - word) return bad;
    word += equal;
    if (word == words) break;
    uint64_t code = 0;
    if (!ReadVarint(&delta, &code) || code > 0xffff) return bad;
    const auto moved =
        static_cast<uint16_t>(WordAt(chunk.data(), word) + Unzigzag(static_cast<uint16_t>(code)));
    std::memcpy(chunk.data() + 2 * word, &moved, sizeof(moved));
    ++word;
    if (delta.empty()) break;
  }
  return delta.empty() ? absl::OkStatus() : bad;
}

}  // namespace reckon
