#ifndef RECKON_COMMON_TASK_DATASET_CSV_READER_H_
#define RECKON_COMMON_TASK_DATASET_CSV_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/record_reader.h"

namespace reckon {

// The rows of a CSV file as records of strings, named by the first row. RFC 4180, and in addition
// LF line ends, a byte order mark and empty lines.
class CsvReader final : public RecordReader {
 public:
  // `name` is the file's name in errors.
  CsvReader(std::string name, std::string content);
  absl::StatusOr<std::optional<Record>> Next() override;

 private:
  absl::Status Bad(absl::string_view what) const;
  std::string TooLong() const;
  absl::Status ReadNames();
  // Reads the next row that is not empty into row_; false at the end. What is wrong with this row
  // alone is in row_status_, and the rest of its line is skipped where it cannot be read.
  absl::StatusOr<bool> ReadRow();
  absl::StatusOr<std::optional<std::string>> ReadField();  // nullopt: see row_status_
  void SkipLine();

  const std::string name_;
  const std::string content_;
  absl::string_view rest_;  // of content_
  uint64_t line_ = 1;       // where rest_ begins
  uint64_t begin_ = 1;      // where row_ begins
  std::vector<std::string> names_;
  std::vector<std::string> row_;
  absl::Status row_status_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_CSV_READER_H_
