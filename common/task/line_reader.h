#ifndef RECKON_COMMON_TASK_LINE_READER_H_
#define RECKON_COMMON_TASK_LINE_READER_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Reads a text file line by line with memory bounded by the longest line allowed. Not thread-safe.
// Errors name the file, and the line where there is one.
class LineReader {
 public:
  static absl::StatusOr<LineReader> Open(const std::string& path, size_t max_line_bytes);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // The next line without its newline, valid until the next call; nothing at the end.
  absl::StatusOr<std::optional<absl::string_view>> Next();
  // Of the line that Next gave last, from 1.
  uint64_t line_number() const { return line_number_; }

 private:
  LineReader(std::string path, size_t max_line_bytes, std::FILE* file)
      : path_(std::move(path)), max_line_bytes_(max_line_bytes), file_(file) {}

  std::string path_;
  size_t max_line_bytes_;
  std::FILE* file_;
  std::string buffer_;
  size_t start_ = 0;  // of what is not given out yet
  uint64_t line_number_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_LINE_READER_H_
