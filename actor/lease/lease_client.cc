#include "actor/lease/lease_client.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/retry.h"
#include "common/text/utf8.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// How long a Lease call waits at the coordinator. ReturnAll waits for its reply, hence not longer.
constexpr absl::Duration kLeaseWait = absl::Seconds(1);
// Deadline of a call, without what it waits at the coordinator.
constexpr absl::Duration kLeaseCallTimeout = absl::Seconds(5);
// Between two Lease calls when the coordinator replies at once that it has no work.
constexpr absl::Duration kEmptyReplyPause = absl::Milliseconds(50);
// Between two reports of an actor that takes no samples. A run says within five seconds what it
// waits for, so an actor must be heard of more often.
constexpr absl::Duration kReportEvery = absl::Seconds(2);
// A coordinator that grants very short leases must not make the renew thread spin.
constexpr absl::Duration kShortestRenewal = absl::Milliseconds(50);
// The error of a lease is for humans; one bad item must not make a huge message.
constexpr size_t kMaxErrorBytes = 1000;

}  // namespace

LeaseClient::LeaseClient(Coordinator::StubInterface* stub, std::string actor,
                         std::function<void()> notify)
    : stub_(stub),
      actor_(std::move(actor)),
      notify_(std::move(notify)),
      lease_thread_([this] { LeaseLoop(); }),
      renew_thread_([this] { RenewLoop(); }) {}

LeaseClient::~LeaseClient() { EndThreads(absl::ZeroDuration()); }

void LeaseClient::EndThreads(absl::Duration grace) {
  {
    absl::MutexLock lock(&mu_);
    ending_ = true;
    changed_.SignalAll();
    mu_.AwaitWithTimeout(absl::Condition(&lease_loop_ended_), grace);
  }
  cancel_calls_.request_stop();
  if (lease_thread_.joinable()) lease_thread_.join();
  if (renew_thread_.joinable()) renew_thread_.join();
}

void LeaseClient::SetDemand(int64_t samples, uint64_t loaded_version) {
  absl::MutexLock lock(&mu_);
  demand_ = samples;
  for (const GrantedLease& granted : updates_.granted) demand_ -= granted.lease.samples_size();
  loaded_version_ = loaded_version;
  changed_.SignalAll();
}

void LeaseClient::SetReport(ActorReport report) {
  for (std::string* text : {report.mutable_waiting_for(), report.mutable_refused_because()}) {
    *text = RepairUtf8(text->substr(0, kMaxErrorBytes));
  }
  absl::MutexLock lock(&mu_);
  if (report.SerializeAsString() == report_.SerializeAsString()) return;
  report_ = std::move(report);
  report_at_ = absl::InfinitePast();
  changed_.SignalAll();
}

LeaseClient::Updates LeaseClient::TakeUpdates() {
  absl::MutexLock lock(&mu_);
  return std::exchange(updates_, {});
}

void LeaseClient::Complete(uint64_t lease) {
  absl::MutexLock lock(&mu_);
  held_.erase(lease);
}

void LeaseClient::Return(uint64_t lease, const absl::Status& error) {
  absl::MutexLock lock(&mu_);
  held_.erase(lease);
  std::string text = error.ok() ? "" : RepairUtf8(error.ToString().substr(0, kMaxErrorBytes));
  returns_.push_back({{lease}, std::move(text)});
  changed_.SignalAll();
}

void LeaseClient::ReturnAll(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  EndThreads(std::min(timeout, kLeaseWait + absl::Milliseconds(500)));
  std::vector<PendingReturn> returns;
  {
    absl::MutexLock lock(&mu_);
    returns = std::exchange(returns_, {});
    if (!held_.empty()) returns.push_back({{held_.begin(), held_.end()}, ""});
    held_.clear();
    updates_ = {};
  }
  for (const PendingReturn& pending : returns) {
    SendReturn(pending, {}, std::max(deadline - absl::Now(), absl::Milliseconds(100)));
  }
}

void LeaseClient::LeaseLoop() {
  Backoff backoff;
  while (true) {
    LeaseRequest request;
    bool in_line = false;
    {
      absl::MutexLock lock(&mu_);
      while (demand_ <= 0 && !ending_ && absl::Now() < report_at_) {
        changed_.WaitWithDeadline(&mu_, report_at_);
      }
      if (ending_) {
        lease_loop_ended_ = true;
        return;
      }
      request.set_actor(actor_);
      request.set_max_samples(static_cast<uint32_t>(std::clamp<int64_t>(demand_, 0, UINT32_MAX)));
      request.set_held_version(loaded_version_);
      // The coordinator wakes those who wait in line: one who refuses the newest work must not be
      // there.
      in_line = demand_ > 0 &&
                (report_.refused_because().empty() || report_.refused_version() < loaded_version_);
      if (in_line) request.set_wait_ms(absl::ToInt64Milliseconds(kLeaseWait));
      *request.mutable_report() = report_;
      report_at_ = absl::Now() + kReportEvery;
    }
    const absl::Time asked = absl::Now();
    LeaseReply reply;
    // One attempt only: by the next one the demand may have changed.
    const absl::Status status = CallOnce(
        cancel_calls_.get_token(), kLeaseWait + kLeaseCallTimeout,
        [&](grpc::ClientContext* context) { return stub_->Lease(context, request, &reply); });
    if (status.ok() && !reply.leases().empty()) {
      backoff.Reset();
      Accept(reply);
      notify_();
      continue;
    }
    const bool asks_again = in_line || request.max_samples() == 0;
    absl::Duration pause = (asks_again ? kEmptyReplyPause : kLeaseWait) - (absl::Now() - asked);
    if (status.ok()) {
      backoff.Reset();
    } else {
      LOG_IF(WARNING, backoff.first()) << "cannot lease work, trying again: " << status;
      pause = backoff.Next();
    }
    absl::MutexLock lock(&mu_);
    if (!status.ok()) report_at_ = absl::InfinitePast();  // the report has not arrived
    mu_.AwaitWithTimeout(absl::Condition(&ending_), pause);
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
      returns_.push_back(
          {{lease.id()}, absl::StrCat("the reply did not hold the lease's plan ", lease.plan())});
      continue;
    }
    held_.insert(lease.id());
    updates_.granted.push_back({lease, plan->second});
    demand_ -= lease.samples_size();
    renew_at_ = std::min(renew_at_, absl::Now() + absl::Milliseconds(lease.expires_in_ms()) / 3);
  }
  changed_.SignalAll();
}

void LeaseClient::RenewLoop() {
  Backoff backoff;
  while (true) {
    std::vector<PendingReturn> returns;
    bool renew = false;
    {
      absl::MutexLock lock(&mu_);
      while (!ending_ && returns_.empty() && absl::Now() < renew_at_) {
        changed_.WaitWithDeadline(&mu_, renew_at_);
      }
      if (ending_) return;
      returns = std::exchange(returns_, {});
      renew = absl::Now() >= renew_at_;
    }
    bool reached = !renew || RenewHeld();
    for (PendingReturn& pending : returns) {
      if (reached && SendReturn(pending, cancel_calls_.get_token(), kLeaseCallTimeout)) continue;
      reached = false;
      absl::MutexLock lock(&mu_);
      returns_.push_back(std::move(pending));
    }
    if (reached) {
      backoff.Reset();
      continue;
    }
    VLOG_IF(1, backoff.first()) << "cannot renew or return leases, trying again";
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(&ending_), backoff.Next());
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
  const absl::Status status = CallOnce(
      cancel_calls_.get_token(), kLeaseCallTimeout,
      [&](grpc::ClientContext* context) { return stub_->RenewLeases(context, request, &reply); });
  if (!status.ok()) return false;
  {
    absl::MutexLock lock(&mu_);
    for (uint64_t lease : reply.lost()) {
      if (held_.erase(lease) > 0) updates_.revoked.push_back(lease);
    }
    renew_at_ =
        absl::Now() + std::max(absl::Milliseconds(reply.expires_in_ms()) / 3, kShortestRenewal);
  }
  if (!reply.lost().empty()) notify_();
  return true;
}

bool LeaseClient::SendReturn(const PendingReturn& pending, const std::stop_token& stop,
                             absl::Duration timeout) {
  ReturnLeasesRequest request;
  request.set_actor(actor_);
  request.mutable_leases()->Add(pending.leases.begin(), pending.leases.end());
  request.set_error(pending.error);
  ReturnLeasesReply reply;
  const absl::Status status = CallOnce(stop, timeout, [&](grpc::ClientContext* context) {
    return stub_->ReturnLeases(context, request, &reply);
  });
  if (IsTransient(status)) return false;
  LOG_IF(WARNING, !status.ok()) << "the coordinator refused a return of leases: " << status;
  return true;
}

}  // namespace reckon
