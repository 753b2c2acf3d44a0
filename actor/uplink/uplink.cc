#include "actor/uplink/uplink.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/stop.h"
#include "common/net/channel.h"
#include "common/net/retry.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr size_t kMessageRollouts = 256;  // as SubmitRequest allows

}  // namespace

Uplink::Uplink(Coordinator::StubInterface* stub, std::string actor, Options options,
               std::function<void()> notify)
    : stub_(stub),
      actor_(std::move(actor)),
      options_(options),
      notify_(std::move(notify)),
      thread_([this] { SendLoop(); }) {}

Uplink::~Uplink() {
  {
    absl::MutexLock lock(&mu_);
    stop_.request_stop();
    changed_.SignalAll();
  }
  thread_.join();
}

Uplink::Key Uplink::KeyOf(const RolloutKey& key) { return {key.plan(), key.group(), key.sample()}; }

bool Uplink::Push(uint64_t lease, const Rollout& rollout, const std::stop_token& stop) {
  auto leased = std::make_shared<LeasedRollout>();
  leased->set_lease(lease);
  leased->set_rollout(rollout.SerializeAsString());
  // Releasing the mutex makes the waiting thread check its condition again.
  // Made before the lock is taken and destroyed after it is released: its constructor may run the
  // callback at once and its destructor waits for a callback that runs, and both would wait for
  // this thread's own lock.
  const std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mu_); });
  absl::MutexLock lock(&mu_);
  auto has_room_or_stopped = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return kept_.size() < options_.window || stop.stop_requested();
  };
  mu_.Await(absl::Condition(&has_room_or_stopped));
  if (kept_.size() >= options_.window) return false;
  // A rollout of an ended lease is replaced, not kept beside the new one: keys are how
  // acknowledgements find their rollout, so one key has one entry in both maps.
  auto [number, inserted] = number_of_.try_emplace(KeyOf(rollout.key()), next_number_);
  if (!inserted) {
    kept_.erase(number->second);
    number->second = next_number_;
  }
  // An idle stream is not a silent one: ack_timeout counts from the first rollout that waits.
  if (kept_.empty()) last_ack_ = absl::Now();
  kept_[next_number_++] = std::move(leased);
  changed_.SignalAll();
  return true;
}

std::vector<Uplink::Ack> Uplink::TakeAcks() {
  absl::MutexLock lock(&mu_);
  return std::exchange(acks_, {});
}

bool Uplink::Flush(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &Uplink::IsEmpty), timeout);
}

size_t Uplink::unacknowledged() const {
  absl::MutexLock lock(&mu_);
  return kept_.size();
}

void Uplink::SendLoop() {
  Backoff backoff;
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &Uplink::HasWork));
      if (stop_.stop_requested()) return;
    }
    // Any acknowledgement shows that the coordinator works. A stream that opens and breaks at once
    // must not reset the wait, or it would be opened in a tight loop.
    if (RunStream()) backoff.Reset();
    const size_t kept = unacknowledged();
    LOG_IF(WARNING, backoff.first() && !stop_.stop_requested() && kept > 0)
        << "the stream of rollouts broke, sending " << kept << " rollouts again";
    if (WaitForStop(stop_.get_token(), backoff.Next())) return;
  }
}

bool Uplink::RunStream() {
  // No deadline: the stream stays open as long as the coordinator runs, and ack_timeout bounds a
  // silent one.
  grpc::ClientContext context;
  const std::stop_callback cancel(stop_.get_token(), [&context] { context.TryCancel(); });
  {
    absl::MutexLock lock(&mu_);
    broken_ = acknowledged_ = false;
    // Everything that is kept is sent again: which of it arrived on the old stream is unknown, and
    // the coordinator answers a second copy as a duplicate.
    next_to_send_ = 0;
    last_ack_ = absl::Now();
  }
  std::unique_ptr<Stream> stream = stub_->Submit(&context);
  std::thread reader([this, &stream] { ReadAcks(stream.get()); });
  SubmitRequest request;
  request.set_actor(actor_);
  while (true) {
    const std::vector<std::shared_ptr<const LeasedRollout>> next = NextToSend();
    if (next.empty()) break;
    request.clear_rollouts();
    for (const auto& leased : next) *request.add_rollouts() = *leased;
    // Without the lock. Write blocks when the coordinator stops reading, which is how its window
    // reaches the engine: kept_ fills up and Push waits.
    if (!stream->Write(request)) break;
  }
  context.TryCancel();  // ends the read of the reading thread
  reader.join();
  const absl::Status status = FromGrpc(stream->Finish());
  absl::MutexLock lock(&mu_);
  VLOG(1) << "stream of rollouts ended: " << status;
  return acknowledged_;
}

std::vector<std::shared_ptr<const Uplink::LeasedRollout>> Uplink::NextToSend() {
  absl::MutexLock lock(&mu_);
  while (true) {
    if (stop_.stop_requested() || broken_) return {};
    std::vector<std::shared_ptr<const LeasedRollout>> rollouts;
    size_t bytes = 0;
    // Acknowledged rollouts have left the map, so the next one to send is found by its number, not
    // by position.
    for (auto next = kept_.lower_bound(next_to_send_); next != kept_.end(); ++next) {
      bytes += next->second->rollout().size();
      const bool full = bytes > options_.message_bytes || rollouts.size() == kMessageRollouts;
      if (full && !rollouts.empty()) break;
      rollouts.push_back(next->second);
      next_to_send_ = next->first + 1;
    }
    if (!rollouts.empty()) return rollouts;
    if (kept_.empty()) {
      changed_.Wait(&mu_);
      continue;
    }
    const absl::Time deadline = last_ack_ + options_.ack_timeout;
    if (absl::Now() >= deadline) {
      LOG(WARNING) << "no rollout was acknowledged for " << options_.ack_timeout
                   << ", opening a new stream";
      return {};
    }
    changed_.WaitWithDeadline(&mu_, deadline);
  }
}

void Uplink::ReadAcks(Stream* stream) {
  SubmitReply reply;
  while (stream->Read(&reply)) HandleReply(reply);
  absl::MutexLock lock(&mu_);
  broken_ = true;
  changed_.SignalAll();
}

void Uplink::HandleReply(const SubmitReply& reply) {
  {
    absl::MutexLock lock(&mu_);
    for (const SubmitReply::Ack& ack : reply.acks()) {
      auto number = number_of_.find(KeyOf(ack.key()));
      if (number == number_of_.end()) continue;  // acknowledged on an earlier stream
      auto leased = kept_.find(number->second);
      // The lease of the rollout that is kept, which is the newer one when the key was pushed
      // twice.
      acks_.push_back({leased->second->lease(), ack});
      kept_.erase(leased);
      number_of_.erase(number);
      acknowledged_ = true;
      last_ack_ = absl::Now();
    }
    changed_.SignalAll();
  }
  notify_();
}

}  // namespace reckon
