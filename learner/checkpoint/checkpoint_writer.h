#ifndef RECKON_LEARNER_CHECKPOINT_CHECKPOINT_WRITER_H_
#define RECKON_LEARNER_CHECKPOINT_CHECKPOINT_WRITER_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

// Writes a rank's part of a checkpoint, and on the leader all that belongs to it, while the rank
// computes on: from a copy, on a thread of its own.
//
//   idle --Begin--> writing --the thread ends--> written --Take--> idle
//
// One at a time: a rank holds at most one copy beside what it trains, so who wants to save sooner
// than a disk can write waits in Begin for the save before. What the save makes durable is told to
// others by whoever takes its result, and not before. Destroyed, it waits for the thread.
//
// Owned by the Learner; its methods belong to the learner's thread.
class CheckpointWriter {
 public:
  CheckpointWriter() = default;
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Runs `write` on the thread. Idle before.
  void Begin(std::function<absl::Status()> write);
  bool idle() const { return !thread_.joinable(); }
  // Whether Take would not wait.
  bool written();
  // Waits for the thread, and returns what `write` returned. Not idle before.
  absl::Status Take();
  // Waits for the thread, if there is one.
  void Await();

 private:
  std::thread thread_;
  absl::Mutex mu_;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_CHECKPOINT_WRITER_H_
