#include "tests/support/scripted_actor.h"

#include <map>
#include <utility>

#include "common/net/channel.h"
#include "tests/support/core_harness.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr uint32_t kMaxSamples = 16;
constexpr uint32_t kLeaseWaitMs = 100;

}  // namespace

ScriptedActor::ScriptedActor(const std::string& address, std::string name, Script script,
                             absl::Duration pause)
    : stub_(Coordinator::NewStub(*MakeChannel(address, Security::PlainText()))),
      name_(std::move(name)),
      script_(std::move(script)),
      pause_(pause),
      thread_([this] { Loop(); }) {}

void ScriptedActor::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

std::set<ScriptedActor::Sample> ScriptedActor::acknowledged() const {
  absl::MutexLock lock(&mu_);
  return acknowledged_;
}

int ScriptedActor::refused() const {
  absl::MutexLock lock(&mu_);
  return refused_;
}

bool ScriptedActor::stopped() const {
  absl::MutexLock lock(&mu_);
  return stopped_;
}

void ScriptedActor::Loop() {
  while (!stopped()) {
    LeaseOnce();
    if (unsent_.empty()) continue;
    absl::SleepFor(pause_);
    while (!unsent_.empty() && !stopped()) {
      if (!SendAll()) absl::SleepFor(absl::Milliseconds(20));
    }
  }
}

void ScriptedActor::LeaseOnce() {
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(5));
  LeaseRequest request;
  request.set_actor(name_);
  request.set_max_samples(kMaxSamples);
  request.set_wait_ms(kLeaseWaitMs);
  LeaseReply reply;
  if (!stub_->Lease(&context, request, &reply).ok()) absl::SleepFor(absl::Milliseconds(20));
  std::map<std::string, const PlanSpec*> plans;
  for (const PlanSpec& plan : reply.plans()) plans[plan.name()] = &plan;
  for (const Lease& lease : reply.leases()) {
    for (uint32_t sample : lease.samples()) {
      Rollout rollout = script_(*plans.at(lease.plan()), lease, sample);
      rollout.mutable_key()->set_plan(lease.plan());
      rollout.mutable_key()->set_group(lease.item().group());
      rollout.mutable_key()->set_sample(sample);
      unsent_.push_back(SubmitOf(name_, lease.id(), std::move(rollout)));
    }
  }
}

bool ScriptedActor::SendAll() {
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
      const bool stored = ack.outcome() == SubmitReply::Ack::ACCEPTED ||
                          ack.outcome() == SubmitReply::Ack::DUPLICATE;
      if (stored) acknowledged_.emplace(ack.key().plan(), ack.key().group(), ack.key().sample());
      if (ack.outcome() == SubmitReply::Ack::REJECTED) {
        ++refused_;
        LOG(ERROR) << "rejected: " << ack.message();
      }
      unsent_.pop_front();  // acknowledgements of a stream come in order
    }
  }
  return stream->Finish().ok();
}

}  // namespace reckon
