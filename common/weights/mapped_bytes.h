#ifndef RECKON_COMMON_WEIGHTS_MAPPED_BYTES_H_
#define RECKON_COMMON_WEIGHTS_MAPPED_BYTES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/weights/model_folder.h"

namespace reckon {

// Weight bytes in pages of their own: a file's, or fresh ones that the kernel gives and takes back
// whole (a vector would first be filled with zeros, and a failure to get one would throw).
// Immutable once shared. A file that is truncated while mapped ends the program, as with any
// mapping: weight folders are replaced by rename, never written in place.
class MappedBytes : public WeightBytes {
 public:
  static absl::StatusOr<std::shared_ptr<MappedBytes>> OfFile(const std::string& path);
  // RESOURCE_EXHAUSTED when there is not as much memory.
  static absl::StatusOr<std::shared_ptr<MappedBytes>> OfSize(uint64_t bytes);

  MappedBytes(char* begin, size_t size) : begin_(begin), size_(size) {}
  ~MappedBytes() override;
  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;

  absl::Span<const char> bytes() const override {
    return absl::MakeConstSpan(begin_ + skip_, size_ - skip_);
  }
  char* data() { return begin_ + skip_; }  // only for OfSize, before it is shared
  void SkipFront(size_t bytes) { skip_ = bytes; }

 private:
  char* begin_;
  size_t size_;
  size_t skip_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_MAPPED_BYTES_H_
