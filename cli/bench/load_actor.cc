#include "cli/bench/load_actor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

constexpr int kMessageRollouts = 256;    // at most
constexpr uint32_t kLeaseSamples = 256;  // in one call: the slots of a large engine
constexpr double kSecondsAhead = 0.5;    // of samples in hand
constexpr absl::Duration kLeaseTimeout = absl::Seconds(30);
// Between two messages: an actor's samples end in passes of its engine, which take longer.
constexpr absl::Duration kPass = absl::Milliseconds(1);

}  // namespace

LoadActor::LoadActor(Coordinator::StubInterface* stub, const LoadPlan* plan, Options options)
    : stub_(stub),
      plan_(plan),
      options_(std::move(options)),
      ahead_(std::max<size_t>(kLeaseSamples, static_cast<size_t>(options_.rate * kSecondsAhead))) {
  leasing_ = std::thread([this] { Lease(); });
}

LoadActor::~LoadActor() {
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }
  context_.TryCancel();
  for (std::thread* thread : {&sending_, &reading_, &leasing_}) {
    if (thread->joinable()) thread->join();
  }
}

bool LoadActor::WaitForWork(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &LoadActor::HasAhead), timeout);
}

void LoadActor::Start(absl::Time start) {
  stream_ = stub_->Submit(&context_);
  reading_ = std::thread([this] { Read(); });
  sending_ = std::thread([this, start] { Send(start); });
}

LoadActor::Result LoadActor::Finish(absl::Time deadline) {
  {
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithDeadline(absl::Condition(this, &LoadActor::IsDone), deadline);
    stopped_ = true;
  }
  context_.TryCancel();
  sending_.join();
  reading_.join();
  const grpc::Status status = stream_->Finish();
  absl::MutexLock lock(&mu_);
  // A stream that was acknowledged to its end is ended by the cancellation above.
  if (result_.latencies.size() + result_.refused < options_.rollouts) {
    result_.status =
        status.error_code() == grpc::StatusCode::CANCELLED
            ? absl::DeadlineExceededError(absl::StrCat(
                  "only ", result_.latencies.size(), " of ", options_.rollouts, " rollouts of ",
                  options_.name, " were acknowledged in time; this machine needs a lower --rate"))
            : FromGrpc(status);
  }
  return std::move(result_);
}

void LoadActor::Lease() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &LoadActor::WantsWork));
      if (stopped_) return;
    }
    LeaseRequest request;
    request.set_actor(options_.name);
    request.set_max_samples(kLeaseSamples);
    request.set_wait_ms(200);
    LeaseReply reply;
    grpc::ClientContext context;
    SetDeadline(&context, kLeaseTimeout);
    if (!stub_->Lease(&context, request, &reply).ok()) {
      absl::SleepFor(absl::Milliseconds(50));
      continue;
    }
    absl::MutexLock lock(&mu_);
    for (const reckon::Lease& lease : reply.leases()) {
      for (uint32_t sample : lease.samples()) {
        samples_.push_back({.lease = lease.id(), .group = lease.item().group(), .sample = sample});
      }
    }
  }
}

bool LoadActor::TakeSample(Sample* sample) {
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &LoadActor::HasWork));
  if (stopped_) return false;
  *sample = samples_.front();
  samples_.pop_front();
  return true;
}

bool LoadActor::Add(absl::Time due, SubmitRequest* request) {
  Sample sample;
  if (!TakeSample(&sample)) return false;
  SubmitRequest::LeasedRollout& leased = *request->add_rollouts();
  leased.set_lease(sample.lease);
  leased.set_rollout(plan_->RolloutOf(sample.group, sample.sample));
  absl::MutexLock lock(&mu_);
  due_.push_back(due);
  ++result_.sent;
  result_.lateness = std::max(result_.lateness, absl::ToDoubleSeconds(absl::Now() - due));
  return true;
}

void LoadActor::Send(absl::Time start) {
  const auto due = [&](uint64_t i) {
    return start + absl::Seconds(static_cast<double>(i) / options_.rate);
  };
  SubmitRequest request;
  request.set_actor(options_.name);
  uint64_t next = 0;
  while (next < options_.rollouts) {
    absl::SleepFor(std::max(due(next) - absl::Now(), kPass));
    request.clear_rollouts();
    for (; next < options_.rollouts && due(next) <= absl::Now(); ++next) {
      if (request.rollouts_size() == kMessageRollouts || !Add(due(next), &request)) break;
    }
    if (request.rollouts().empty() || !stream_->Write(request)) return;
  }
}

void LoadActor::Read() {
  SubmitReply reply;
  while (stream_->Read(&reply)) {
    absl::MutexLock lock(&mu_);
    const absl::Time now = absl::Now();
    for (const SubmitReply::Ack& ack : reply.acks()) {
      if (due_.empty()) break;
      if (ack.outcome() == SubmitReply::Ack::ACCEPTED) {
        result_.latencies.push_back(static_cast<float>(absl::ToDoubleSeconds(now - due_.front())));
      } else {
        ++result_.refused;
      }
      due_.pop_front();
    }
    done_ = result_.latencies.size() + result_.refused == options_.rollouts;
    if (done_) return;
  }
  absl::MutexLock lock(&mu_);
  done_ = true;
}

}  // namespace reckon
