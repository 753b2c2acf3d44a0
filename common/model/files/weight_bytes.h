#ifndef RECKON_COMMON_MODEL_FILES_WEIGHT_BYTES_H_
#define RECKON_COMMON_MODEL_FILES_WEIGHT_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace reckon {

// The bytes of one weight version: a buffer that is filled once, by whoever makes it, and then
// shared without change between threads. Anonymous memory from the kernel, which arrives zeroed
// page by page and is returned whole (a std::vector would write zeros first, and throw when memory
// is short). It is never a mapped file, because a file that is truncated while mapped ends the
// program with SIGBUS.
class WeightBytes {
 public:
  // RESOURCE_EXHAUSTED: there is not enough memory.
  static absl::StatusOr<std::shared_ptr<WeightBytes>> OfSize(uint64_t bytes);
  WeightBytes(char* begin, size_t size) : begin_(begin), size_(size) {}
  ~WeightBytes();
  WeightBytes(const WeightBytes&) = delete;
  WeightBytes& operator=(const WeightBytes&) = delete;

  absl::Span<const char> bytes() const { return absl::MakeConstSpan(begin_, size_); }
  char* data() { return begin_; }  // only before it is shared

 private:
  char* begin_;
  size_t size_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_WEIGHT_BYTES_H_
