#include "common/task/dataset/line_reader.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace reckon {

absl::StatusOr<LineReader> LineReader::Open(const std::string& path, size_t max_line_bytes) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  return LineReader(path, max_line_bytes, file);
}

LineReader::LineReader(LineReader&& other) noexcept
    : path_(std::move(other.path_)),
      max_line_bytes_(other.max_line_bytes_),
      file_(std::exchange(other.file_, nullptr)),
      buffer_(std::move(other.buffer_)),
      start_(other.start_),
      line_number_(other.line_number_) {}

LineReader::~LineReader() {
  if (file_ != nullptr) std::fclose(file_);
}

absl::StatusOr<std::optional<absl::string_view>> LineReader::Next() {
  constexpr size_t kChunk = 64 << 10;
  size_t searched = start_;
  bool too_long = false;
  while (true) {
    const size_t newline = buffer_.find('\n', searched);
    const size_t end = newline == std::string::npos ? buffer_.size() : newline;
    if (end - start_ > max_line_bytes_) too_long = true;
    if (newline != std::string::npos) {
      ++line_number_;
      const size_t begin = std::exchange(start_, newline + 1);
      if (too_long) return TooLong();
      return absl::string_view(buffer_).substr(begin, newline - begin);
    }
    if (too_long) start_ = buffer_.size();  // the rest of the line is read and forgotten
    buffer_.erase(0, std::exchange(start_, 0));
    searched = buffer_.size();
    buffer_.resize(searched + kChunk);
    errno = 0;
    const size_t got = std::fread(buffer_.data() + searched, 1, kChunk, file_);
    buffer_.resize(searched + got);
    if (std::ferror(file_) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    }
    if (got == 0) break;
  }
  if (buffer_.empty() && !too_long) return std::nullopt;
  ++line_number_;  // the last line has no newline
  start_ = buffer_.size();
  if (too_long) return TooLong();
  return absl::string_view(buffer_);
}

absl::Status LineReader::TooLong() const {
  return absl::OutOfRangeError(
      absl::StrCat(path_, ":", line_number_, ": line is longer than ", max_line_bytes_, " bytes"));
}

}  // namespace reckon
