#ifndef RECKON_COMMON_TASK_DATASET_LINE_READER_H_
#define RECKON_COMMON_TASK_DATASET_LINE_READER_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Reads a text file line by line. Holds at most one line of max_line_bytes and one buffer of 64 KiB
// in memory. Used by one thread. Errors name the file and, where there is one, the line.
class LineReader {
 public:
  static absl::StatusOr<LineReader> Open(const std::string& path, size_t max_line_bytes);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // Returns the next line without its newline, valid until the next call, or nullopt at the end.
  // OUT_OF_RANGE: the line is longer than max_line_bytes; the next call returns the line after
  // it. After another error there is no next line.
  absl::StatusOr<std::optional<absl::string_view>> Next();
  // The number of the line that Next returned last, from 1.
  uint64_t line_number() const { return line_number_; }

 private:
  LineReader(std::string path, size_t max_line_bytes, std::FILE* file)
      : path_(std::move(path)), max_line_bytes_(max_line_bytes), file_(file) {}
  absl::Status TooLong() const;

  std::string path_;
  size_t max_line_bytes_;
  std::FILE* file_;
  std::string buffer_;
  size_t start_ = 0;  // of what Next has not returned yet
  uint64_t line_number_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_LINE_READER_H_
