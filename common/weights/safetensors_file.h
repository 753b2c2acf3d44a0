#ifndef RECKON_COMMON_WEIGHTS_SAFETENSORS_FILE_H_
#define RECKON_COMMON_WEIGHTS_SAFETENSORS_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/weights/safetensors.h"

namespace reckon {

// A safetensors file that is open: its header checked, its data still on disk. Data is read, not
// mapped, because a mapped file that someone truncates ends the program with SIGBUS, and straight
// into the caller's memory, so that a model is in memory once. Every error names the file. Not
// thread-safe.
class SafetensorsFile {
 public:
  // INVALID_ARGUMENT for what is no regular file or has a header that cannot be believed.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) = delete;
  ~SafetensorsFile();

  const std::string& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }
  // header().data_bytes of them. DATA_LOSS when the file has become shorter.
  absl::Status ReadData(char* to) const;

 private:
  SafetensorsFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status ReadAt(uint64_t offset, uint64_t bytes, char* to) const;

  std::string path_;
  int fd_;
  SafetensorsHeader header_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_SAFETENSORS_FILE_H_
