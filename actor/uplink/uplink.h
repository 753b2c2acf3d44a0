#ifndef RECKON_ACTOR_UPLINK_UPLINK_H_
#define RECKON_ACTOR_UPLINK_UPLINK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Carries finished rollouts to the coordinator over one stream, those that wait in one message, and
// keeps each until the coordinator acknowledges that it is durable.
//
//   Push --> kept --[sending thread]--> stream --> coordinator
//             ^ |                                      |
//     sent    | +--<---- acknowledged <--[reading thread]
//     again   +-- all that is kept, in order, when the stream breaks or goes silent
//
// Invariant: kept rollouts <= window. Push blocks at the bound, and with it the engine, so an
// actor whose coordinator is away stops instead of filling its memory. Streams are opened again
// for ever; no error reaches the caller. Thread-safe.
class Uplink {
 public:
  struct Ack {
    uint64_t lease = 0;
    SubmitReply::Ack ack;
  };
  struct Options {
    // Rollouts that are not acknowledged, at most. Too small: the engine waits for each fsync of
    // the coordinator. Too large: memory while the coordinator is away, some kB per rollout.
    size_t window = 256;
    // A stream without an acknowledgement for this long is replaced by a new one. It must be longer
    // than the coordinator's slowest write, or rollouts are sent again in vain.
    absl::Duration ack_timeout = absl::Seconds(60);
    // What waits is sent together in messages of at most so many bytes, and one rollout at least.
    size_t message_bytes = 1 << 20;
  };

  // `stub` must outlive the uplink. `notify` is called on the reading thread when there are
  // acknowledgements to take; it must not block.
  Uplink(Coordinator::StubInterface* stub, std::string actor, Options options,
         std::function<void()> notify);
  // Ends the stream. Rollouts that are not acknowledged are lost; Flush first.
  ~Uplink();
  Uplink(const Uplink&) = delete;
  Uplink& operator=(const Uplink&) = delete;

  // Encodes and keeps a rollout, blocking while the window is full. Returns false when `stop` was
  // requested before there was room. A rollout with the key of a kept one replaces it, as that
  // one's lease has ended: a single acknowledgement then counts for the newer lease.
  bool Push(uint64_t lease, const Rollout& rollout, const std::stop_token& stop);
  std::vector<Ack> TakeAcks();
  // Waits until nothing is kept. Returns false after `timeout`.
  bool Flush(absl::Duration timeout);
  size_t unacknowledged() const;

 private:
  using Stream = grpc::ClientReaderWriterInterface<SubmitRequest, SubmitReply>;
  using Key = std::tuple<std::string, uint64_t, uint32_t>;
  using LeasedRollout = SubmitRequest::LeasedRollout;

  void SendLoop();
  // Sends until the stream breaks or the uplink stops. Returns whether anything was acknowledged.
  bool RunStream();
  void ReadAcks(Stream* stream);
  void HandleReply(const SubmitReply& reply);
  // Blocks for the next rollouts of this stream. None: stopping, broken, or silent for ack_timeout.
  std::vector<std::shared_ptr<const LeasedRollout>> NextToSend();
  static Key KeyOf(const RolloutKey& key);
  bool IsEmpty() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return kept_.empty(); }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stop_.stop_requested() || !kept_.empty();
  }

  Coordinator::StubInterface* const stub_;
  const std::string actor_;
  const Options options_;
  const std::function<void()> notify_;
  std::stop_source stop_;

  mutable absl::Mutex mu_;
  absl::CondVar changed_;  // for the sending thread: more to send, a broken stream, a stop
  // Numbered in the order of Push. Shared with the sending thread, which writes without the lock.
  std::map<uint64_t, std::shared_ptr<const LeasedRollout>> kept_ ABSL_GUARDED_BY(mu_);
  std::map<Key, uint64_t> number_of_ ABSL_GUARDED_BY(mu_);  // of each kept rollout
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Ack> acks_ ABSL_GUARDED_BY(mu_);

  // Of the present stream.
  uint64_t next_to_send_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time last_ack_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  bool acknowledged_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;

  std::thread thread_;  // last: it starts when all other members are initialized
};

}  // namespace reckon

#endif  // RECKON_ACTOR_UPLINK_UPLINK_H_
