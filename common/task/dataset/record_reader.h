#ifndef RECKON_COMMON_TASK_DATASET_RECORD_READER_H_
#define RECKON_COMMON_TASK_DATASET_RECORD_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/text/json.h"

namespace reckon {

// One record of a data file: an object of named fields (all strings in a CSV file).
struct Record {
  nlohmann::json fields;
  uint64_t line = 0;  // where it begins, from 1
};

// The records of one data file, in order. Used by one thread. Errors are INVALID_ARGUMENT
// "file:line: what is wrong"; after an error the reader is of no further use.
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

// A format whose files are read whole.
struct FileFormat {
  absl::string_view extension;
  // `name` is the file's name in errors.
  std::unique_ptr<RecordReader> (*read)(std::string name, std::string content);
};

// ".csv" (CsvReader) and ".json" (JsonArrayReader).
absl::Span<const FileFormat> FileFormats();

// Opens a data file by its extension: one of FileFormats, up to 256 MiB; anything else is JSONL,
// one object a line, and is streamed. NOT_FOUND when there is no such file.
absl::StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::string& path);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_RECORD_READER_H_
