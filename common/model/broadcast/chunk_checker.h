#ifndef RECKON_COMMON_MODEL_BROADCAST_CHUNK_CHECKER_H_
#define RECKON_COMMON_MODEL_BROADCAST_CHUNK_CHECKER_H_

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "proto/weights.pb.h"

namespace reckon {

// Checks the chunks of a version that comes in order, while more of it comes: threads of its own
// compute the digests, because one is slower than a fast network. Made for one broadcast.
class ChunkChecker {
 public:
  // `good` is called on one of the threads for each chunk that matches its digest.
  ChunkChecker(const WeightManifest& manifest, const char* bytes,
               std::function<void(uint64_t chunk)> good);
  ~ChunkChecker() { Finish(); }
  ChunkChecker(const ChunkChecker&) = delete;
  ChunkChecker& operator=(const ChunkChecker&) = delete;

  // The first `bytes` have come.
  void Have(uint64_t bytes);
  // Waits until what has come is checked. Returns the number of chunks that did not match.
  uint64_t Finish();

 private:
  void Check();
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return next_ < here_ || ended_; }

  const WeightManifest& manifest_;
  const char* const bytes_;
  const std::function<void(uint64_t)> good_;
  absl::Mutex mu_;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;  // chunks that a thread has taken
  uint64_t here_ ABSL_GUARDED_BY(mu_) = 0;  // chunks that have come
  uint64_t bad_ ABSL_GUARDED_BY(mu_) = 0;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_CHUNK_CHECKER_H_
