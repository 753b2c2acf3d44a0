#include "actor/lease/lease_client.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actor/lease/backoff.h"
#include "common/net/channel.h"
#include "common/text/utf8.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Short, so that an actor told to stop gets the reply of its last question and returns that too.
constexpr absl::Duration kLeaseWait = absl::Seconds(1);
constexpr absl::Duration kCallTimeout = absl::Seconds(5);

}  // namespace

class LeaseClient::Call {
 public:
  Call(LeaseClient* client, absl::Duration timeout) : client_(client) {
    SetDeadline(&context_, timeout);
    absl::MutexLock lock(&client_->mu_);
    if (client_->stopped_) context_.TryCancel();
    client_->calls_.insert(this);
  }
  ~Call() {
    absl::MutexLock lock(&client_->mu_);
    client_->calls_.erase(this);
  }
  grpc::ClientContext* context() { return &context_; }

 private:
  LeaseClient* const client_;
  grpc::ClientContext context_;
};

LeaseClient::LeaseClient(Coordinator::StubInterface* stub, std::string actor,
                         std::function<void()> notify)
    : stub_(stub),
      actor_(std::move(actor)),
      notify_(std::move(notify)),
      lease_thread_([this] { LeaseLoop(); }),
      renew_thread_([this] { RenewLoop(); }) {}

LeaseClient::~LeaseClient() {
  {
    absl::MutexLock lock(&mu_);
    stopped_ = leasing_ended_ = true;
    for (Call* call : calls_) call->context()->TryCancel();
    changed_.SignalAll();
  }
  lease_thread_.join();
  renew_thread_.join();
}

int64_t LeaseClient::Samples(const std::vector<LeasedWork>& work) {
  int64_t samples = 0;
  for (const LeasedWork& w : work) samples += w.lease.samples_size();
  return samples;
}

void LeaseClient::Want(int64_t samples, uint64_t held_version) {
  absl::MutexLock lock(&mu_);
  wanted_ = samples - Samples(new_);
  held_version_ = held_version;
  changed_.SignalAll();
}

LeaseClient::News LeaseClient::Take() {
  absl::MutexLock lock(&mu_);
  return {std::exchange(new_, {}), std::exchange(lost_, {})};
}

void LeaseClient::Forget(uint64_t lease) {
  absl::MutexLock lock(&mu_);
  held_.erase(lease);
}

void LeaseClient::Return(uint64_t lease, const absl::Status& error) {
  absl::MutexLock lock(&mu_);
  held_.erase(lease);
  // Shortened: it is for people, and one bad item must not make a huge message.
  std::string text = error.ok() ? "" : RepairUtf8(error.ToString().substr(0, 1000));
  returns_.push_back({{lease}, std::move(text)});
  changed_.SignalAll();
}

void LeaseClient::ReturnAll(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::vector<Returned> returns;
  {
    absl::MutexLock lock(&mu_);
    leasing_ended_ = true;
    changed_.SignalAll();
    mu_.AwaitWithDeadline(absl::Condition(&lease_loop_done_),
                          std::min(deadline, absl::Now() + kLeaseWait + absl::Milliseconds(500)));
    for (Call* call : calls_) call->context()->TryCancel();
    returns = std::exchange(returns_, {});
    if (!held_.empty()) returns.push_back({{held_.begin(), held_.end()}, ""});
    held_.clear();
    new_.clear();
  }
  for (const Returned& r : returns) {
    Send(r, std::max(deadline - absl::Now(), absl::Milliseconds(100)));
  }
}

void LeaseClient::Sleep(absl::Duration duration, bool LeaseClient::* until) {
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&(this->*until)), duration);
}

void LeaseClient::LeaseLoop() {
  Backoff backoff;
  while (true) {
    LeaseRequest request;
    {
      absl::MutexLock lock(&mu_);
      while (wanted_ <= 0 && !leasing_ended_) changed_.Wait(&mu_);
      if (leasing_ended_) {
        lease_loop_done_ = true;
        return;
      }
      request.set_actor(actor_);
      request.set_max_samples(static_cast<uint32_t>(std::min<int64_t>(wanted_, UINT32_MAX)));
      request.set_held_version(held_version_);
      request.set_wait_ms(absl::ToInt64Milliseconds(kLeaseWait));
    }
    const absl::Time asked = absl::Now();
    LeaseReply reply;
    absl::Status status;
    {
      Call call(this, kLeaseWait + kCallTimeout);
      status = FromGrpc(stub_->Lease(call.context(), request, &reply));
    }
    if (!status.ok()) {
      LOG_IF(WARNING, backoff.first()) << "no work from the coordinator, trying again: " << status;
      Sleep(backoff.Next(), &LeaseClient::leasing_ended_);
      continue;
    }
    backoff.Reset();
    if (reply.leases().empty()) {
      Sleep(kLeastPause - (absl::Now() - asked), &LeaseClient::leasing_ended_);
    } else {
      Accept(reply);
      notify_();
    }
  }
}

void LeaseClient::Accept(const LeaseReply& reply) {
  std::map<std::string, std::shared_ptr<const PlanSpec>> plans;
  for (const PlanSpec& plan : reply.plans()) {
    plans[plan.name()] = std::make_shared<const PlanSpec>(plan);
  }
  absl::MutexLock lock(&mu_);
  for (const Lease& lease : reply.leases()) {
    auto plan = plans.find(lease.plan());
    if (plan == plans.end()) {
      returns_.push_back({{lease.lease()}, "the reply did not hold the lease's plan"});
      continue;
    }
    held_.insert(lease.lease());
    new_.push_back({lease, plan->second});
    wanted_ -= lease.samples_size();
    renew_at_ = std::min(renew_at_, absl::Now() + absl::Milliseconds(lease.expires_in_ms()) / 3);
  }
  changed_.SignalAll();
}

void LeaseClient::RenewLoop() {
  Backoff backoff;
  while (true) {
    std::vector<Returned> returns;
    bool renew = false;
    {
      absl::MutexLock lock(&mu_);
      while (!stopped_ && returns_.empty() && absl::Now() < renew_at_) {
        changed_.WaitWithDeadline(&mu_, renew_at_);
      }
      if (stopped_) return;
      returns = std::exchange(returns_, {});
      renew = absl::Now() >= renew_at_;
    }
    bool reached = !renew || RenewHeld();
    for (Returned& returned : returns) {
      if (reached && Send(returned, kCallTimeout)) continue;
      reached = false;
      absl::MutexLock lock(&mu_);
      returns_.push_back(std::move(returned));
    }
    if (reached) {
      backoff.Reset();
    } else {
      VLOG_IF(1, backoff.first()) << "leases not renewed or returned, trying again";
      Sleep(backoff.Next(), &LeaseClient::stopped_);
    }
  }
}

bool LeaseClient::RenewHeld() {
  RenewLeasesRequest request;
  request.set_actor(actor_);
  {
    absl::MutexLock lock(&mu_);
    for (uint64_t lease : held_) request.add_leases(lease);
    if (held_.empty()) {
      renew_at_ = absl::InfiniteFuture();
      return true;
    }
  }
  RenewLeasesReply reply;
  absl::Status status;
  {
    Call call(this, kCallTimeout);
    status = FromGrpc(stub_->RenewLeases(call.context(), request, &reply));
  }
  if (!status.ok()) return false;
  {
    absl::MutexLock lock(&mu_);
    for (uint64_t lease : reply.lost()) {
      if (held_.erase(lease) > 0) lost_.push_back(lease);
    }
    // Never busy, even when told to.
    renew_at_ = absl::Now() +
                std::max(absl::Milliseconds(reply.expires_in_ms()) / 3, absl::Milliseconds(50));
  }
  if (!reply.lost().empty()) notify_();
  return true;
}

bool LeaseClient::Send(const Returned& returned, absl::Duration timeout) {
  ReturnLeasesRequest request;
  request.set_actor(actor_);
  request.mutable_leases()->Add(returned.leases.begin(), returned.leases.end());
  request.set_error(returned.error);
  ReturnLeasesReply reply;
  Call call(this, timeout);
  absl::Status status = FromGrpc(stub_->ReturnLeases(call.context(), request, &reply));
  if (IsTransient(status)) return false;
  LOG_IF(WARNING, !status.ok()) << "leases not returned: " << status;
  return true;
}

}  // namespace reckon
