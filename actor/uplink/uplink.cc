#include "actor/uplink/uplink.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "actor/lease/backoff.h"
#include "common/net/channel.h"
// Last.
#include "common/base/log.h"

namespace reckon {

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
    stopped_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.SignalAll();
  }
  thread_.join();
}

Uplink::Key Uplink::KeyOf(const RolloutKey& key) { return {key.plan(), key.group(), key.sample()}; }

bool Uplink::Push(uint64_t lease, const Rollout& rollout, absl::Duration timeout) {
  auto request = std::make_shared<SubmitRequest>();
  request->set_actor(actor_);
  request->set_lease(lease);
  *request->mutable_rollout() = rollout;
  absl::MutexLock lock(&mu_);
  if (!mu_.AwaitWithTimeout(absl::Condition(this, &Uplink::HasRoom), timeout)) return false;
  // The same sample under a new lease takes the old one's place: one acknowledgement ends both.
  auto [number, inserted] = number_of_.try_emplace(KeyOf(rollout.key()), next_number_);
  if (!inserted) {
    kept_.erase(number->second);
    number->second = next_number_;
  }
  if (kept_.empty()) last_ack_ = absl::Now();
  kept_[next_number_++] = std::move(request);
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
      if (stopped_) return;
    }
    if (RunStream()) backoff.Reset();
    absl::MutexLock lock(&mu_);
    LOG_IF(WARNING, backoff.first() && !stopped_ && !kept_.empty())
        << "the stream of rollouts broke; " << kept_.size() << " are kept and sent again";
    if (mu_.AwaitWithTimeout(absl::Condition(&stopped_), backoff.Next())) return;
  }
}

bool Uplink::RunStream() {
  grpc::ClientContext context;  // no deadline: it lives as long as the coordinator
  {
    absl::MutexLock lock(&mu_);
    if (stopped_) return false;
    context_ = &context;
    broken_ = acknowledged_ = false;
    next_to_send_ = 0;
    last_ack_ = absl::Now();
  }
  std::unique_ptr<Stream> stream = stub_->Submit(&context);
  std::thread reader([this, &stream] { ReadAcks(stream.get()); });
  while (std::shared_ptr<const SubmitRequest> request = NextToSend()) {
    if (!stream->Write(*request)) break;
  }
  context.TryCancel();  // wakes the reader; what was acknowledged is acknowledged
  reader.join();
  const absl::Status status = FromGrpc(stream->Finish());
  absl::MutexLock lock(&mu_);
  context_ = nullptr;
  VLOG(1) << "stream of rollouts ended: " << status;
  return acknowledged_;
}

std::shared_ptr<const SubmitRequest> Uplink::NextToSend() {
  absl::MutexLock lock(&mu_);
  while (true) {
    if (stopped_ || broken_) return nullptr;
    auto next = kept_.lower_bound(next_to_send_);
    if (next != kept_.end()) {
      next_to_send_ = next->first + 1;
      return next->second;
    }
    if (kept_.empty()) {
      changed_.Wait(&mu_);
      continue;
    }
    const absl::Time deadline = last_ack_ + options_.ack_timeout;
    if (absl::Now() >= deadline) {
      LOG(WARNING) << "no acknowledgement for " << options_.ack_timeout << "; opening a new stream";
      return nullptr;
    }
    changed_.WaitWithDeadline(&mu_, deadline);
  }
}

void Uplink::ReadAcks(Stream* stream) {
  SubmitReply reply;
  while (stream->Read(&reply)) TakeReply(reply);
  absl::MutexLock lock(&mu_);
  broken_ = true;
  changed_.SignalAll();
}

void Uplink::TakeReply(const SubmitReply& reply) {
  {
    absl::MutexLock lock(&mu_);
    for (const SubmitReply::Ack& ack : reply.acks()) {
      auto number = number_of_.find(KeyOf(ack.key()));
      if (number == number_of_.end()) continue;  // acknowledged before, over an earlier stream
      auto request = kept_.find(number->second);
      acks_.push_back({request->second->lease(), ack});
      kept_.erase(request);
      number_of_.erase(number);
      acknowledged_ = true;
      last_ack_ = absl::Now();
    }
    changed_.SignalAll();
  }
  notify_();
}

}  // namespace reckon
