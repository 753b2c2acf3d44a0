#ifndef RECKON_COMMON_MODEL_FILES_WEIGHT_BYTES_H_
#define RECKON_COMMON_MODEL_FILES_WEIGHT_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/weights.pb.h"

namespace reckon {

// The bytes of one weight version: a buffer that is filled once, by whoever makes it, and then
// shared without change between threads. Memory from the kernel, which arrives zeroed page by page
// and is returned whole (a std::vector would write zeros first, and throw when memory is short).
// It is never a mapped file of a disk, because a file that is truncated while mapped ends the
// program with SIGBUS. Three kinds:
//
//   OfSize  memory of this process alone
//   Shared  memory that other processes of this user on this host can map: a memfd, sealed against
//           a change of its size, which vanishes with its last process. It has no name in any file
//           system; where() tells how to reach it.
//   Map     a mapping of another process's Shared, for reading
//
// The maker of a Shared may fill it again for a later version, when nobody reads it any more:
//
//   BeginFill (the first is implied) -> writes to data() -> EndFill -> readers Map, and let go
//      ^----------------------------------------------------------------------'
//
// A reader holds a shared lock on the memfd from Map to its destructor, the maker an exclusive one
// from BeginFill to EndFill. The kernel drops the locks of a process that dies. After the bytes
// stands how often they were filled, so that a reader who comes late finds out.
class WeightBytes {
 public:
  // RESOURCE_EXHAUSTED: there is not enough memory.
  static absl::StatusOr<std::shared_ptr<WeightBytes>> OfSize(uint64_t bytes);
  // Begun to be filled. As OfSize where the system has no memfd.
  static absl::StatusOr<std::shared_ptr<WeightBytes>> Shared(uint64_t bytes);
  // NOT_FOUND: this process cannot reach that memory, because it is on another host or of another
  // user, or its process has ended; or it was filled again since. UNAVAILABLE: it is being filled.
  static absl::StatusOr<std::shared_ptr<WeightBytes>> Map(const HostMemory& where, uint64_t bytes);
  ~WeightBytes();
  WeightBytes(const WeightBytes&) = delete;
  WeightBytes& operator=(const WeightBytes&) = delete;

  absl::Span<const char> bytes() const { return absl::MakeConstSpan(begin_, size_); }
  char* data() { return begin_; }  // only before it is shared, and never of a Map
  // Where other processes find a Shared; empty for the other kinds.
  const HostMemory& where() const { return where_; }
  bool mapped() const { return file_ >= 0 && where_.name().empty(); }  // a Map
  // Only of a Shared. BeginFill returns false while another process reads.
  bool BeginFill();
  void EndFill();

 private:
  WeightBytes(char* begin, size_t size, int file) : begin_(begin), size_(size), file_(file) {}
  uint64_t& fill() { return *reinterpret_cast<uint64_t*>(begin_ + FillPlace(size_)); }
  static size_t FillPlace(size_t size) { return (size + 7) / 8 * 8; }

  char* const begin_;
  const size_t size_;  // without the number of its fill
  const int file_;     // of a Shared or a Map; else -1
  HostMemory where_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_WEIGHT_BYTES_H_
