#ifndef RECKON_LEARNER_PUBLISH_VERSION_BUFFERS_H_
#define RECKON_LEARNER_PUBLISH_VERSION_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/model/files/weight_bytes.h"

namespace reckon {

// The buffers that versions are packed into, in the form of a manifest or in that of the kernels. A
// version stays as it is while actors read it and the next one is packed into another buffer; a
// buffer that nobody reads any more is filled again, which saves the kernel the work of clearing
// new pages at every step:
//
//   Prepare, while the first samples are drawn --> buffers --> Take -> filled, read
//                                                     ^-------- nobody reads it -'
//
// Two versions are served and one is packed, hence three, and one for a slow reader. In the form of
// the kernels the newest is served, and actors hold the one before beside it. Owned by the
// Publisher. Take and Prepare are for one thread.
class VersionBuffers {
 public:
  static constexpr size_t kUsed = 3;

  VersionBuffers() = default;
  // Ends what Prepare has begun.
  ~VersionBuffers() = default;

  // Begun to be filled; the caller ends that. RESOURCE_EXHAUSTED: no memory.
  absl::StatusOr<std::shared_ptr<WeightBytes>> Take(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes buffers of this size until there are `count`, and writes to each of their pages, so that
  // the kernel clears them before a version needs them: 270 MB take it 0.2 s. On a thread of its
  // own, of lower priority; what has not been made in time, Take makes. Ends an earlier Prepare.
  void Prepare(uint64_t bytes, size_t count) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for what Prepare has begun.
  void FinishPreparing();

 private:
  void MakeReady(uint64_t bytes, size_t count, const std::stop_token& stop)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Forgets buffers of other sizes.
  void KeepOnly(uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  std::vector<std::shared_ptr<WeightBytes>> buffers_ ABSL_GUARDED_BY(mu_);
  std::jthread preparing_;  // last
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_VERSION_BUFFERS_H_
