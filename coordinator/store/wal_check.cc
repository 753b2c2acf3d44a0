#include "coordinator/store/wal_check.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// RocksDB's log consists of blocks of 32 KiB. A record is a masked crc32c (4 bytes), a length (2),
// a type (1) and its payload; it never crosses the end of a block, and a rest of six bytes or fewer
// at the end of a block is zero.
constexpr size_t kBlock = 32768;
constexpr size_t kHeader = 7;
constexpr char kAdvice[] = "; restore a copy or start a new run";
// A write is one full record, or in several blocks a first, middle ones and a last. Recycled logs
// are not used.
enum RecordType : uint8_t { kFull = 1, kFirst, kMiddle, kLast };

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

struct Record {
  RecordType type;
  size_t size;  // with its header
};

// The record at `at`, if a whole one is there.
std::optional<Record> RecordAt(absl::string_view bytes, size_t at) {
  const size_t room = std::min(bytes.size(), at - at % kBlock + kBlock) - at;
  if (room < kHeader) return std::nullopt;
  const absl::string_view header = bytes.substr(at, kHeader);
  const size_t length = LittleEndian(header.substr(4), 2);
  const uint8_t type = static_cast<uint8_t>(header[6]);
  if (type < kFull || type > kLast || kHeader + length > room) return std::nullopt;
  const uint32_t crc = Crc32c(bytes.substr(at + 6, 1 + length));
  // RocksDB masks checksums as LevelDB does (util/crc32c.h), because the checksum of data that
  // holds checksums is weak.
  const uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8u;
  if (masked != LittleEndian(header, 4)) return std::nullopt;
  return Record{.type = RecordType(type), .size = kHeader + length};
}

}  // namespace

absl::StatusOr<size_t> WholeWrites(absl::string_view name, absl::string_view bytes) {
  size_t at = 0, write = 0;  // where the record, and the write that it is of, begin
  while (at < bytes.size()) {
    if (kBlock - at % kBlock < kHeader) {
      at += kBlock - at % kBlock;
      continue;
    }
    const std::optional<Record> record = RecordAt(bytes, at);
    if (!record.has_value()) break;
    if (record->type == kFull || record->type == kFirst) write = at;
    at += record->size;
    if (record->type == kFull || record->type == kLast) write = at;
  }
  // Every byte is tried, because a damaged length tells nothing about where the next record begins.
  // It costs little: nearly all positions fail at the type or the length, before the checksum is
  // computed, and a torn last write is short.
  for (size_t later = at + 1; later < bytes.size(); ++later) {
    const std::optional<Record> record = RecordAt(bytes, later);
    // With no other begun, a middle or last record is of the damaged write itself.
    if (record.has_value() && (record->type == kFull || record->type == kFirst)) {
      return absl::DataLossError(absl::StrCat("log ", name, " is damaged at byte ", at,
                                              " and another write follows at byte ", later,
                                              kAdvice));
    }
  }
  return write;
}

absl::Status CutTornWrite(const std::string& folder) {
  std::error_code error;
  std::map<uint64_t, std::string> logs;  // by their numbers, which increase
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    uint64_t number = 0;
    if (entry.path().extension() == ".log" &&
        absl::SimpleAtoi(entry.path().stem().string(), &number)) {
      logs[number] = entry.path().string();
    }
  }
  if (error) {
    return absl::InternalError(absl::StrCat("cannot list ", folder, ": ", error.message()));
  }
  bool others_follow = false;
  for (auto log = logs.rbegin(); log != logs.rend(); ++log) {
    const std::string& path = log->second;
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
    ASSIGN_OR_RETURN(const size_t whole, WholeWrites(path, bytes));
    const bool torn = whole < bytes.size();
    if (torn && others_follow) {
      return absl::DataLossError(absl::StrCat("log ", path, " is damaged at byte ", whole,
                                              " and a later log follows", kAdvice));
    }
    others_follow |= !bytes.empty();
    if (!torn) continue;
    LOG(WARNING) << path << ": the last write, which was not acknowledged, is torn; cutting "
                 << bytes.size() - whole << " bytes off";
    std::filesystem::resize_file(path, whole, error);
    if (error) {
      return absl::InternalError(absl::StrCat("cannot cut ", path, ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
