#include "common/telemetry/event_file.h"

#include <array>
#include <cstring>

namespace reckon {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82F63B78u : 0);
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

// Protobuf's wire format, little endian as x86-64 is.
template <typename T>
void AppendFixed(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

void AppendVarint(std::string* out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void AppendTag(std::string* out, int field, WireType type) { AppendVarint(out, field << 3 | type); }

void AppendBytes(std::string* out, int field, absl::string_view bytes) {
  AppendTag(out, field, kBytes);
  AppendVarint(out, bytes.size());
  out->append(bytes.data(), bytes.size());
}

// Event: wall_time = 1 (double), step = 2 (int64), file_version = 3, summary = 5, session_log = 7.
std::string EventHead(double wall_time, int64_t step) {
  std::string out;
  AppendTag(&out, 1, kFixed64);
  AppendFixed(&out, wall_time);
  if (step != 0) {
    AppendTag(&out, 2, kVarint);
    AppendVarint(&out, static_cast<uint64_t>(step));
  }
  return out;
}

uint32_t Masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

}  // namespace

uint32_t Crc32c(absl::string_view data) {
  uint32_t crc = ~0u;
  for (char c : data) crc = kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

std::string TfRecord(absl::string_view data) {
  std::string out;
  AppendFixed<uint64_t>(&out, data.size());
  AppendFixed(&out, Masked(Crc32c(out)));
  out.append(data.data(), data.size());
  AppendFixed(&out, Masked(Crc32c(data)));
  return out;
}

std::string VersionEvent(double wall_time) {
  std::string out = EventHead(wall_time, 0);
  AppendBytes(&out, 3, "brain.Event:2");
  return out;
}

std::string RestartEvent(double wall_time, int64_t step) {
  std::string out = EventHead(wall_time, step);
  AppendBytes(&out, 7, "\x08\x01");  // SessionLog: status = 1, START
  return out;
}

std::string ScalarsEvent(double wall_time, int64_t step,
                         const std::map<std::string, double>& values) {
  std::string summary;
  for (const auto& [name, value] : values) {
    std::string entry;  // Summary.Value: tag = 1, simple_value = 2
    AppendBytes(&entry, 1, name);
    AppendTag(&entry, 2, kFixed32);
    AppendFixed(&entry, static_cast<float>(value));
    AppendBytes(&summary, 1, entry);
  }
  std::string out = EventHead(wall_time, step);
  AppendBytes(&out, 5, summary);
  return out;
}

}  // namespace reckon
