#ifndef RECKON_LEARNER_PUBLISH_BROADCASTER_H_
#define RECKON_LEARNER_PUBLISH_BROADCASTER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/model/broadcast/broadcast_group.h"
#include "common/model/files/model_folder.h"
#include "learner/publish/broadcast_meeting.h"

namespace reckon {

struct BroadcasterOptions {
  std::string host;  // name or address of the interface that broadcasts use
  bool gpu = false;  // by NCCL
  // How long actors that have joined wait for others.
  absl::Duration window = absl::Seconds(2);
  absl::Duration silence = kBroadcastSilence;
};

// The learner's end of broadcasts: sends versions to actors on its fabric through c10d, beside the
// weight server, from which they fetch what a broadcast does not bring.
//
//   Begin(version) -> Gather (broadcast_meeting.h) -> connect, unless still connected -> Pass
//
// One thread does that, so that a step never waits for it: of versions that follow fast, the last.
// A group that fails is given up by all its members, and the next version gets a new one of those
// that come. After the second failure in a row a version is left out, after the third three, and so
// on up to 63: actors that cannot be reached, as through a firewall, do not cost a deadline at each
// version. Owned by the Publisher.
class Broadcaster {
 public:
  explicit Broadcaster(BroadcasterOptions options);
  ~Broadcaster();
  Broadcaster(const Broadcaster&) = delete;
  Broadcaster& operator=(const Broadcaster&) = delete;

  // By which actors join; for the weight server, which must end first.
  BroadcastMeeting* meeting() { return &meeting_; }

  // Begins to broadcast the newest version, which ends what has not begun of the one before. Call
  // it before actors hear of the version. Some are left to be fetched: a small one, as meeting
  // costs more than it saves; and one whose difference to the version before is much shorter than
  // itself (common/model/transfer/chunk_delta.h), since sending less wins over sending faster.
  void Begin(uint64_t version, const Weights& weights);
  // Versions for which actors have joined.
  uint64_t tried() const { return tried_; }
  // By rank 0.
  uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  struct Task {
    uint64_t version;
    Weights weights;
  };
  void Loop();
  absl::Status Broadcast(const Task& task);
  bool Gains(const Weights& weights) const;
  bool HasTask() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return next_.has_value() || ends_; }

  const BroadcasterOptions options_;
  BroadcastMeeting meeting_;
  std::stop_source stop_;
  std::atomic<uint64_t> tried_ = 0, bytes_sent_ = 0;
  std::optional<Weights> before_;  // what Begin was given last
  absl::Mutex mu_;
  std::optional<Task> next_ ABSL_GUARDED_BY(mu_);
  bool ends_ ABSL_GUARDED_BY(mu_) = false;
  int failures_ ABSL_GUARDED_BY(mu_) = 0;  // in a row
  int left_out_ ABSL_GUARDED_BY(mu_) = 0;  // versions that are still to be left out
  // Of the thread.
  std::unique_ptr<BroadcastGroup> group_;
  std::thread thread_;  // last
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_BROADCASTER_H_
