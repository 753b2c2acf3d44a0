#ifndef RECKON_COMMON_TEXT_PARQUET_ROWS_H_
#define RECKON_COMMON_TEXT_PARQUET_ROWS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct ReckonParquet;

namespace reckon {

// The rows of a Parquet file as JSON objects, one at a time, by Arrow's crate: compressed by
// Snappy, gzip, LZ4 or Zstandard, or not; structs, lists and maps nested. Numbers keep their
// digits; what is not finite is null. Decimals, dates and times are texts, and so are bytes: as
// UTF-8, or else in hexadecimal digits. Memory is bounded for each row. Used by one thread. It is
// here because the library of rust/ is one.
class ParquetRows {
 public:
  // INVALID_ARGUMENT: it cannot be read. Reads pages as rows need them.
  static absl::StatusOr<ParquetRows> Open(const std::string& path);
  static absl::StatusOr<ParquetRows> OfContent(absl::string_view content);

  // Returns the next row, or nullopt at the end. INVALID_ARGUMENT: the file is damaged here; what
  // follows cannot be read.
  absl::StatusOr<std::optional<std::string>> Next();

 private:
  using Library = std::unique_ptr<ReckonParquet, void (*)(ReckonParquet*)>;
  explicit ParquetRows(Library library) : library_(std::move(library)) {}
  static absl::StatusOr<ParquetRows> Make(ReckonParquet* library, const std::string& error);

  Library library_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_PARQUET_ROWS_H_
