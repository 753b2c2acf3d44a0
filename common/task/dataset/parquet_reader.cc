#include "common/task/dataset/parquet_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace reckon {

ParquetReader::ParquetReader(std::string name, absl::StatusOr<ParquetRows> rows)
    : name_(std::move(name)), rows_(std::move(rows)) {}

absl::StatusOr<std::optional<Record>> ParquetReader::Next() {
  if (!rows_.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", rows_.status().message()));
  }
  const auto row = rows_->Next();
  ++row_;
  if (!row.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", row_, ": ", row.status().message()));
  }
  if (!row->has_value()) return std::nullopt;
  absl::StatusOr<nlohmann::json> fields = ParseJson(**row, kMaxRecordDepth, kMaxRecordBytes);
  if (!fields.ok()) return Record{nullptr, row_, fields.status()};
  return Record{*std::move(fields), row_, absl::OkStatus()};
}

}  // namespace reckon
