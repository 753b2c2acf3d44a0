#ifndef RECKON_COORDINATOR_FAKE_ACTOR_H_
#define RECKON_COORDINATOR_FAKE_ACTOR_H_

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"
#include "coordinator/core_harness.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// For tests: an actor that makes up its rollouts (MakeRollout) on a thread of its own, resends what
// was not acknowledged when its stream breaks, and remembers what was.
class FakeActor {
 public:
  using Sample = std::tuple<std::string, uint64_t, uint32_t>;

  FakeActor(const std::string& address, std::string name,
            absl::Duration pause = absl::ZeroDuration())
      : stub_(Coordinator::NewStub(MakeChannel(address))),
        name_(std::move(name)),
        pause_(pause),
        thread_([this] { Loop(); }) {}
  ~FakeActor() { Stop(); }

  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopped_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  std::set<Sample> acknowledged() const {
    absl::MutexLock lock(&mu_);
    return acknowledged_;
  }
  int refused() const {
    absl::MutexLock lock(&mu_);
    return refused_;
  }

 private:
  bool stopped() const {
    absl::MutexLock lock(&mu_);
    return stopped_;
  }

  void Loop() {
    while (!stopped()) {
      grpc::ClientContext context;
      SetDeadline(&context, absl::Seconds(5));
      LeaseRequest request = WantLease(name_, 16);
      request.set_wait_ms(100);
      LeaseReply reply;
      if (!stub_->Lease(&context, request, &reply).ok()) absl::SleepFor(absl::Milliseconds(20));
      for (const Lease& lease : reply.leases()) {
        for (uint32_t sample : lease.samples()) {
          unsent_.push_back(SubmitOf(
              name_, lease.lease(),
              MakeRollout(lease.plan(), lease.item().group(), sample, lease.weight_version())));
        }
      }
      absl::SleepFor(pause_);
      while (!unsent_.empty() && !stopped()) {
        if (!SendAll()) absl::SleepFor(absl::Milliseconds(20));
      }
    }
  }

  // One stream: all that is unsent, until all of it is acknowledged. False: it broke.
  bool SendAll() {
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(10));
    auto stream = stub_->Submit(&context);
    for (const SubmitRequest& request : unsent_) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    SubmitReply reply;
    while (stream->Read(&reply)) {
      for (const SubmitReply::Ack& ack : reply.acks()) {
        absl::MutexLock lock(&mu_);
        const bool there = ack.outcome() == SubmitReply::Ack::ACCEPTED ||
                           ack.outcome() == SubmitReply::Ack::DUPLICATE;
        if (there) acknowledged_.emplace(ack.key().plan(), ack.key().group(), ack.key().sample());
        if (ack.outcome() == SubmitReply::Ack::REJECTED) ++refused_;
        unsent_.pop_front();  // acknowledgements of a stream come in order
      }
    }
    return stream->Finish().ok();
  }

  const std::unique_ptr<Coordinator::Stub> stub_;
  const std::string name_;
  const absl::Duration pause_;
  std::deque<SubmitRequest> unsent_;
  mutable absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::set<Sample> acknowledged_ ABSL_GUARDED_BY(mu_);
  int refused_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_FAKE_ACTOR_H_
