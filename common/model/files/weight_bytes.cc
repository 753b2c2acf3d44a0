#include "common/model/files/weight_bytes.h"

#include <sys/mman.h>

#include "absl/strings/str_cat.h"

namespace reckon {

absl::StatusOr<std::shared_ptr<WeightBytes>> WeightBytes::OfSize(uint64_t bytes) {
  void* begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of weights"));
  }
  return std::make_shared<WeightBytes>(static_cast<char*>(begin), bytes);
}

WeightBytes::~WeightBytes() { ::munmap(begin_, size_); }

}  // namespace reckon
