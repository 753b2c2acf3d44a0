#include "common/text/parquet_rows.h"

#include <utility>

#include "common/text/library_text.h"

namespace reckon {

absl::StatusOr<ParquetRows> ParquetRows::Make(ReckonParquet* library, const std::string& error) {
  if (library == nullptr) return absl::InvalidArgumentError(OneLine(error));
  return ParquetRows(Library(library, reckon_parquet_free));
}

absl::StatusOr<ParquetRows> ParquetRows::Open(const std::string& path) {
  std::string error;
  return Make(reckon_parquet_open(AsReckonText(path), AppendBytes, &error), error);
}

absl::StatusOr<ParquetRows> ParquetRows::OfContent(absl::string_view content) {
  std::string error;
  return Make(reckon_parquet_new(AsReckonText(content), AppendBytes, &error), error);
}

absl::StatusOr<std::optional<std::string>> ParquetRows::Next() {
  std::string row, error;
  if (!reckon_parquet_next(library_.get(), AppendBytes, &row, AppendBytes, &error)) {
    return absl::InvalidArgumentError(OneLine(error));
  }
  if (row.empty()) return std::nullopt;
  return row;
}

}  // namespace reckon
