#ifndef RECKON_COMMON_TASK_RECORD_READER_H_
#define RECKON_COMMON_TASK_RECORD_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/json.h"

namespace reckon {

// One problem as its file has it: an object of named fields (of a CSV file all strings).
struct Record {
  nlohmann::json fields;
  uint64_t line = 0;  // where it begins, from 1
};

// The records of one data file in order. One thread; errors are "file:line: what is wrong".
class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // The next record; nothing at the end.
  virtual absl::StatusOr<std::optional<Record>> Next() = 0;
};

// A line of a JSONL file, a field of a CSV file and an element of a JSON array may be this long.
inline constexpr size_t kMaxRecordBytes = 1 << 20;
inline constexpr int kMaxRecordDepth = 16;  // of JSON

// By the extension: ".csv" is RFC 4180 with a first line of names, ".json" an array of objects,
// anything else a JSON object a line. NOT_FOUND when there is no such file. JSONL is streamed; the
// other two are read whole, up to 256 MiB.
absl::StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::string& path);

// The same over bytes in memory; `name` stands in errors.
std::unique_ptr<RecordReader> ReadCsv(std::string name, std::string content);
std::unique_ptr<RecordReader> ReadJsonArray(std::string name, std::string content);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_RECORD_READER_H_
