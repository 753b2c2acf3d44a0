#ifndef RECKON_COMMON_MODEL_TRANSFER_CHUNK_ARRIVALS_H_
#define RECKON_COMMON_MODEL_TRANSFER_CHUNK_ARRIVALS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

// Which chunks of a version that is being fetched have arrived and were checked, so that they can
// be served to others before the last one is there (server.h). Marked by the fetch (fetch.h), asked
// by the server's streams. Thread-safe.
class ChunkArrivals {
 public:
  enum class State { kHere, kAwaited, kLost };

  explicit ChunkArrivals(uint64_t chunks) : here_(chunks) {}

  // The chunk is there from now on.
  void Mark(uint64_t chunk);
  // The fetch has ended: what is not there will not come.
  void End();
  bool complete();
  // kAwaited: `then` is called once, on the thread of the Mark or End that decides. Otherwise it is
  // never called. It must not block.
  State Ask(uint64_t chunk, std::function<void()> then);

 private:
  absl::Mutex mu_;
  std::vector<bool> here_ ABSL_GUARDED_BY(mu_);
  uint64_t missing_ ABSL_GUARDED_BY(mu_) = here_.size();
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::multimap<uint64_t, std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);  // by chunk
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TRANSFER_CHUNK_ARRIVALS_H_
