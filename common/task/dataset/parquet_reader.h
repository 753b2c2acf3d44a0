#ifndef RECKON_COMMON_TASK_DATASET_PARQUET_READER_H_
#define RECKON_COMMON_TASK_DATASET_PARQUET_READER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/task/dataset/record_reader.h"
#include "common/text/parquet_rows.h"

namespace reckon {

// The rows of a Parquet file. A record's line is the number of its row. The file is read as its
// rows are asked for, so that it may be larger than the memory.
class ParquetReader final : public RecordReader {
 public:
  // `name` is the file's name in errors.
  ParquetReader(std::string name, absl::StatusOr<ParquetRows> rows);
  absl::StatusOr<std::optional<Record>> Next() override;

 private:
  const std::string name_;
  absl::StatusOr<ParquetRows> rows_;
  uint64_t row_ = 0;  // the last one
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_PARQUET_READER_H_
