#include "common/telemetry/event_file.h"

#include <array>
#include <cstring>

#include "common/text/utf8.h"
#include "proto/tensorboard.pb.h"

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

// Little endian, as x86-64 is.
template <typename T>
void AppendFixed(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

// TensorFlow masks CRCs because the CRC of data that holds its own CRC is weak.
uint32_t Masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u; }

tensorboard::Event EventAt(double wall_time, int64_t step) {
  tensorboard::Event event;
  event.set_wall_time(wall_time);
  event.set_step(step);
  return event;
}

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
  // The CRC of the length comes before the data, so that a reader does not trust a damaged length.
  out.append(data.data(), data.size());
  AppendFixed(&out, Masked(Crc32c(data)));
  return out;
}

std::string VersionEvent(double wall_time) {
  tensorboard::Event event = EventAt(wall_time, 0);
  event.set_file_version("brain.Event:2");
  return event.SerializeAsString();
}

std::string RestartEvent(double wall_time, int64_t step) {
  tensorboard::Event event = EventAt(wall_time, step);
  event.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  return event.SerializeAsString();
}

std::string ScalarsEvent(double wall_time, int64_t step,
                         const std::map<std::string, double>& values) {
  tensorboard::Event event = EventAt(wall_time, step);
  for (const auto& [name, value] : values) {
    tensorboard::Summary::Value* scalar = event.mutable_summary()->add_value();
    scalar->set_tag(RepairUtf8(name));
    scalar->set_simple_value(static_cast<float>(value));
  }
  return event.SerializeAsString();
}

}  // namespace reckon
