#ifndef RECKON_ACTOR_UPLINK_UPLINK_H_
#define RECKON_ACTOR_UPLINK_UPLINK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Carries finished rollouts to the coordinator over one stream and keeps each until it is
// acknowledged: when the stream breaks, all that is not acknowledged is sent again over the next,
// in order, for ever. At most `window` rollouts are kept; Push waits for room.
// Owns a sending thread, and one that reads while a stream is open. Thread-safe.
class Uplink {
 public:
  struct Ack {
    uint64_t lease = 0;
    SubmitReply::Ack ack;
  };
  struct Options {
    size_t window = 256;
    // A stream over which nothing was acknowledged for so long is given up and opened again.
    absl::Duration ack_timeout = absl::Seconds(60);
  };

  // `notify` is called from the reading thread when there are acknowledgements to take.
  Uplink(Coordinator::StubInterface* stub, std::string actor, Options options,
         std::function<void()> notify);
  // Ends the stream. What is not acknowledged is forgotten.
  ~Uplink();
  Uplink(const Uplink&) = delete;
  Uplink& operator=(const Uplink&) = delete;

  // Waits up to `timeout` for room. False: no room, and the rollout was not taken.
  bool Push(uint64_t lease, const Rollout& rollout, absl::Duration timeout);
  std::vector<Ack> TakeAcks();
  // Waits until all is acknowledged. False: timed out.
  bool Flush(absl::Duration timeout);
  size_t unacknowledged() const;

 private:
  using Stream = grpc::ClientReaderWriterInterface<SubmitRequest, SubmitReply>;
  using Key = std::tuple<std::string, uint64_t, uint32_t>;

  void SendLoop();
  // Sends until the stream breaks or the uplink stops. True: something was acknowledged.
  bool RunStream();
  void ReadAcks(Stream* stream);
  void TakeReply(const SubmitReply& reply);
  // The next request to send on this stream; null: stopping, the stream broke, or it went silent.
  std::shared_ptr<const SubmitRequest> NextToSend();
  static Key KeyOf(const RolloutKey& key);
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return kept_.size() < options_.window; }
  bool IsEmpty() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return kept_.empty(); }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopped_ || !kept_.empty(); }

  Coordinator::StubInterface* const stub_;
  const std::string actor_;
  const Options options_;
  const std::function<void()> notify_;

  mutable absl::Mutex mu_;
  absl::CondVar changed_;  // for the sender: more to send, a broken stream, stop
  std::map<uint64_t, std::shared_ptr<const SubmitRequest>> kept_ ABSL_GUARDED_BY(mu_);
  std::map<Key, uint64_t> number_of_ ABSL_GUARDED_BY(mu_);  // into kept_
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_to_send_ ABSL_GUARDED_BY(mu_) = 0;  // on the present stream
  absl::Time last_ack_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  bool acknowledged_ ABSL_GUARDED_BY(mu_) = false;  // on the present stream
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Ack> acks_ ABSL_GUARDED_BY(mu_);
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace reckon

#endif  // RECKON_ACTOR_UPLINK_UPLINK_H_
