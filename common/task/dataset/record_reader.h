#ifndef RECKON_COMMON_TASK_DATASET_RECORD_READER_H_
#define RECKON_COMMON_TASK_DATASET_RECORD_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/text/json.h"

namespace reckon {

// One record of a data file: an object of named fields (all strings in a CSV file).
struct Record {
  nlohmann::json fields;
  uint64_t line = 0;  // where it begins, from 1
  // Why it cannot be read, without file and line; the fields are empty then. Others follow.
  absl::Status status;
};

// The records of one data file, in order. Used by one thread. A record that is bad by itself has
// its status. An error is what ends the file: INVALID_ARGUMENT "file:line: what is wrong", after
// which the reader is of no further use.
class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // Returns the next record, or nullopt at the end.
  virtual absl::StatusOr<std::optional<Record>> Next() = 0;
};

// Limits on what a file may hold: the bytes of a JSONL line, a CSV field or an element of a JSON
// array, and how deep JSON nests.
inline constexpr size_t kMaxRecordBytes = 1 << 20;
inline constexpr int kMaxRecordDepth = 16;

struct FileFormat {
  absl::string_view extension;
  // Of a file's content. `name` is the file's name in errors.
  std::unique_ptr<RecordReader> (*read)(std::string name, std::string content);
  // Of a file of a format that need not be read whole; null: there is no such way.
  std::unique_ptr<RecordReader> (*open)(const std::string& path) = nullptr;
};

// ".csv" (CsvReader), ".json" (JsonArrayReader) and ".parquet" (ParquetReader).
absl::Span<const FileFormat> FileFormats();

// Theirs and ".jsonl".
std::vector<absl::string_view> DataExtensions();

// Opens a data file by its extension: one of FileFormats, up to 256 MiB where it is read whole;
// anything else is JSONL, one object a line, and is streamed. NOT_FOUND when there is no such file.
absl::StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_RECORD_READER_H_
