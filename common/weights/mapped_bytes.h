#ifndef RECKON_COMMON_WEIGHTS_MAPPED_BYTES_H_
#define RECKON_COMMON_WEIGHTS_MAPPED_BYTES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/weights/model_folder.h"

namespace reckon {

// Weight bytes in pages of their own, which the kernel gives and takes back whole (a vector would
// first be filled with zeros, and a failure to get one would throw). Never pages of a file: one
// that is truncated while mapped ends the program. Immutable once shared.
class MappedBytes : public WeightBytes {
 public:
  // RESOURCE_EXHAUSTED when there is not as much memory.
  static absl::StatusOr<std::shared_ptr<MappedBytes>> OfSize(uint64_t bytes);

  MappedBytes(char* begin, size_t size) : begin_(begin), size_(size) {}
  ~MappedBytes() override;
  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;

  absl::Span<const char> bytes() const override { return absl::MakeConstSpan(begin_, size_); }
  char* data() { return begin_; }  // only before it is shared

 private:
  char* begin_;
  size_t size_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_MAPPED_BYTES_H_
