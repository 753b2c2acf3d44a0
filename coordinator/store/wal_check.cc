#include "coordinator/store/wal_check.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

// RocksDB's log consists of blocks of 32 KiB. A record is a masked crc32c (4 bytes), a length (2),
// a type (1) and its payload; it never crosses the end of a block, and a rest of six bytes or fewer
// at the end of a block is zero.
constexpr size_t kBlock = 32768;
constexpr size_t kHeader = 7;
constexpr uint8_t kMaxType = 4;  // full, first, middle, last; recycled logs are not used

std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table;
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    // 0x82f63b78 is the Castagnoli polynomial with its bits in reverse order.
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    table[i] = crc;
  }
  return table;
}

uint32_t Crc32c(absl::string_view bytes) {
  static const std::array<uint32_t, 256> table = MakeTable();
  uint32_t crc = ~0u;
  for (unsigned char c : bytes) crc = crc >> 8 ^ table[(crc ^ c) & 0xff];
  return ~crc;
}

uint32_t LittleEndian(absl::string_view bytes, int n) {
  uint32_t value = 0;
  for (int i = n - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The size of the whole record at `at`, header included, if a valid one starts there.
std::optional<size_t> RecordAt(absl::string_view bytes, size_t at) {
  const size_t room = std::min(bytes.size(), at - at % kBlock + kBlock) - at;
  if (room < kHeader) return std::nullopt;
  const absl::string_view header = bytes.substr(at, kHeader);
  const size_t length = LittleEndian(header.substr(4), 2);
  const uint8_t type = static_cast<uint8_t>(header[6]);
  if (type == 0 || type > kMaxType || kHeader + length > room) return std::nullopt;
  const uint32_t crc = Crc32c(bytes.substr(at + 6, 1 + length));
  // RocksDB masks checksums as LevelDB does (util/crc32c.h), because the checksum of data that
  // holds checksums is weak.
  const uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8u;
  if (masked != LittleEndian(header, 4)) return std::nullopt;
  return kHeader + length;
}

}  // namespace

absl::Status CheckLog(absl::string_view name, absl::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (kBlock - at % kBlock < kHeader) {
      at += kBlock - at % kBlock;
      continue;
    }
    const std::optional<size_t> size = RecordAt(bytes, at);
    if (!size.has_value()) break;
    at += *size;
  }
  // Every byte is tried, because a damaged length tells nothing about where the next record begins.
  // It costs little: nearly all positions fail at the type or the length, before the checksum is
  // computed, and a torn last write is short.
  for (size_t later = at + 1; later < bytes.size(); ++later) {
    if (RecordAt(bytes, later).has_value()) {
      return absl::DataLossError(absl::StrCat("log ", name, " is damaged at byte ", at,
                                              " and whole records follow at byte ", later,
                                              "; restore a copy or start a new run"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLogs(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".log") continue;
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(entry.path().string()));
    RETURN_IF_ERROR(CheckLog(entry.path().string(), bytes));
  }
  if (error) {
    return absl::InternalError(absl::StrCat("cannot list ", folder, ": ", error.message()));
  }
  return absl::OkStatus();
}

}  // namespace reckon
