#ifndef RECKON_COMMON_MODEL_FILES_SAFETENSORS_FILE_H_
#define RECKON_COMMON_MODEL_FILES_SAFETENSORS_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/files/safetensors.h"

namespace reckon {

// An open safetensors file: the header has been read and checked, the data is still on disk. The
// data is read, not mapped, because a file that is truncated while mapped ends the program with
// SIGBUS. It is read directly into the caller's memory, so that a model is in memory once. Every
// error names the file. Not thread-safe.
class SafetensorsFile {
 public:
  // INVALID_ARGUMENT: not a regular file, or its header is malformed.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) = delete;
  ~SafetensorsFile();

  const std::string& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }
  // Copies `bytes` of the data from `offset` on, e.g. a tensor, to `to`. DATA_LOSS: the file has
  // become shorter.
  absl::Status ReadData(uint64_t offset, uint64_t bytes, char* to) const;

 private:
  SafetensorsFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status ReadAt(uint64_t offset, uint64_t bytes, char* to) const;

  std::string path_;
  int fd_;
  SafetensorsHeader header_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_SAFETENSORS_FILE_H_
