#include "learner/parallel/membership.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/host_port.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/net/retry.h"
#include "learner/parallel/c10d_work.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kBeginTimeout = absl::Seconds(4);
constexpr absl::Duration kBeginPatience = absl::Minutes(2);
constexpr absl::Duration kStatusTimeout = absl::Seconds(2);
constexpr absl::Duration kLastWords = absl::Seconds(4);  // patience of a call at the end
constexpr absl::Duration kLookForLeavers = absl::Milliseconds(500);
constexpr uint32_t kMeetWaitMs = 1000;  // how long the coordinator holds one WAIT
constexpr size_t kMaxFailure = 2000;    // bytes of a failure that are reported

std::string ReadyKey(int rank) { return absl::StrCat("ready/", rank); }

}  // namespace

Membership::Membership(std::shared_ptr<Coordinator::StubInterface> stub, MembershipOptions options,
                       std::stop_token stop, WaitingFor waiting_for)
    : stub_(std::move(stub)),
      options_(std::move(options)),
      program_stop_(stop),
      waiting_for_(std::move(waiting_for)),
      host_(Printable(MachineName(), 100)),
      forward_stop_(stop, RequestStop{&stop_}) {}

Membership::~Membership() = default;

absl::StatusOr<std::unique_ptr<Membership>> Membership::Begin(
    std::shared_ptr<Coordinator::StubInterface> stub, MembershipOptions options,
    std::stop_token stop, WaitingFor waiting_for) {
  auto member = absl::WrapUnique(
      new Membership(std::move(stub), std::move(options), stop, std::move(waiting_for)));
  RETURN_IF_ERROR(member->EnterTerm());
  RETURN_IF_ERROR(member->CheckFirstLife());
  // Once on this thread, so that a term that is over is an error of the start.
  RETURN_IF_ERROR(member->Check());
  member->thread_ = std::jthread([m = member.get()](const std::stop_token& end) { m->Run(end); });
  return member;
}

absl::Status Membership::EnterTerm() {
  BeginTermRequest request;
  request.set_learner(options_.learner);
  request.set_world_size(options_.world);
  request.set_nonce(options_.nonce);
  BeginTermReply reply;
  RETURN_IF_ERROR(CallWithRetry(
      program_stop_,
      {.attempt_timeout = kBeginTimeout,
       .patience = kBeginPatience,
       .on_outage =
           [this](const absl::Status& outage) {
             waiting_for_(outage.ok() ? "" : "the coordinator does not answer");
           }},
      [&](grpc::ClientContext* call) { return stub_->BeginTerm(call, request, &reply); }));
  term_ = reply.term();
  return absl::OkStatus();
}

absl::Status Membership::CheckFirstLife() {
  if (options_.world == 1) return absl::OkStatus();
  RendezvousRequest request;
  request.set_term(term_);
  request.set_op(RendezvousRequest::ADD);
  request.add_keys(absl::StrCat("lives/", options_.rank));
  request.set_amount(1);
  request.set_id(absl::StrCat(host_, " ", ::getpid(), " ", options_.rank, " ",
                              absl::ToUnixNanos(absl::Now())));
  RendezvousReply reply;
  const absl::Status called = CallWithRetry(
      stop(), {.attempt_timeout = kBeginTimeout, .patience = kBeginPatience},
      [&](grpc::ClientContext* call) { return stub_->Rendezvous(call, request, &reply); });
  // Check tells why the term is over.
  if (!called.ok()) return absl::IsAborted(called) ? absl::OkStatus() : called;
  if (reply.sum() <= 1) return absl::OkStatus();
  return End(
      absl::UnavailableError("it was started again within a term; the whole group must start "
                             "again, under another --nonce"));
}

bool Membership::Beat(const std::string& failure, bool leaving) {
  HeartbeatRequest request;
  request.set_term(term_);
  request.set_rank(options_.rank);
  request.set_host(host_);
  request.set_failure(failure);
  request.set_leaving(leaving);
  HeartbeatReply reply;
  const auto call = [&](grpc::ClientContext* context) {
    return stub_->Heartbeat(context, request, &reply);
  };
  // Shorter than the timeout, so that an attempt that is lost is repeated in time. Not ended by a
  // stop: a leader that saves its last checkpoint lives.
  const absl::Duration deadline =
      std::clamp(timeout() / 4, absl::Milliseconds(250), absl::Seconds(4));
  const absl::Status status = CallOnce(std::stop_token(), deadline, call);
  if (IsTransient(status)) return false;
  if (status.ok()) {
    absl::MutexLock lock(&mu_);
    timeout_ = absl::Milliseconds(std::max(1u, reply.timeout_ms()));
    return true;
  }
  absl::Status why = status;
  if (absl::IsAborted(status)) {
    // A term that has ended is begun again; a run that another group has taken is left to it. Only
    // the newest term tells them apart.
    const absl::StatusOr<GetStatusReply> now = AskStatus();
    if (!now.ok() || now->term() <= term_) why = absl::UnavailableError(status.message());
  }
  {
    absl::MutexLock lock(&mu_);
    if (cause_.ok()) cause_ = why;
  }
  stop_.request_stop();
  group_stop_.request_stop();
  return true;
}

void Membership::Run(const std::stop_token& stop) {
  absl::Time grace_ends = absl::InfiniteFuture();
  while (!WaitForStop(stop, std::clamp(timeout() / 5, absl::Milliseconds(50), absl::Seconds(3)))) {
    if (program_stop_.stop_requested()) {
      grace_ends = std::min(grace_ends, absl::Now() + options_.stop_grace);
      if (absl::Now() >= grace_ends) group_stop_.request_stop();
    }
    Beat("", false);
    const absl::Status why = cause();
    if (why.ok()) continue;
    LOG(WARNING) << "learner term " << term_ << " is over: " << why.message();
    return;
  }
}

absl::StatusOr<GetStatusReply> Membership::AskStatus() {
  GetStatusReply reply;
  RETURN_IF_ERROR(CallOnce(std::stop_token(), kStatusTimeout, [&](grpc::ClientContext* context) {
    return stub_->GetStatus(context, {}, &reply);
  }));
  return reply;
}

absl::StatusOr<std::string> Membership::NeverCalled() {
  ASSIGN_OR_RETURN(const GetStatusReply status, AskStatus());
  std::vector<bool> called(options_.world, false);
  for (const RankStatus& rank : status.ranks()) {
    if (rank.rank() < called.size()) called[rank.rank()] = true;
  }
  std::vector<int> missing;
  for (int rank = 0; rank < options_.world; ++rank) {
    if (!called[rank]) missing.push_back(rank);
  }
  if (missing.empty()) return "";
  const size_t all = missing.size();
  if (all > 8) missing.resize(8);
  return absl::StrCat(all == 1 ? "rank " : "ranks ", absl::StrJoin(missing, ", "),
                      all > 8 ? ", ..." : "", " of ", options_.world,
                      all == 1 ? ", which has never called" : ", which have never called");
}

absl::Status Membership::Meet() {
  if (options_.world == 1) return absl::OkStatus();
  RendezvousRequest here, all;
  here.set_term(term_);
  here.set_op(RendezvousRequest::SET);
  here.add_keys(ReadyKey(options_.rank));
  all.set_term(term_);
  all.set_op(RendezvousRequest::WAIT);
  for (int rank = 0; rank < options_.world; ++rank) all.add_keys(ReadyKey(rank));
  all.set_wait_ms(kMeetWaitMs);
  const auto call = [&](const RendezvousRequest& request, RendezvousReply* reply) {
    return CallOnce(stop(), kBeginTimeout, [&](grpc::ClientContext* context) {
      return stub_->Rendezvous(context, request, reply);
    });
  };
  std::string waits;
  absl::Time complete = absl::Now();  // or when a rank was first seen to be missing
  while (!stop().stop_requested()) {
    RendezvousReply reply;
    // Every time: a coordinator that was restarted has forgotten it.
    absl::Status status = call(here, &reply);
    if (status.ok()) status = call(all, &reply);
    if (!status.ok() && !IsTransient(status)) return status;
    if (status.ok() && reply.found()) {
      if (!waits.empty()) waiting_for_("");
      return absl::OkStatus();
    }
    const absl::StatusOr<std::string> missing = NeverCalled();
    const std::string before = waits;
    waits = !missing.ok()      ? "the coordinator does not answer"
            : missing->empty() ? "other ranks, which prepare"
                               : *missing;
    if (waits != before && !stop().stop_requested()) waiting_for_(waits);
    if (!missing.ok() || missing->empty()) {
      complete = absl::Now();
    } else if (absl::Now() - complete > options_.join_timeout) {
      return absl::UnavailableError(
          absl::StrCat("the learner group waited ", absl::FormatDuration(options_.join_timeout),
                       " for ", *missing, ": is it started, with the same --nonce?"));
    }
    if (!status.ok()) WaitForStop(stop(), absl::Milliseconds(500));
  }
  return absl::CancelledError("stopped");
}

absl::Status Membership::Check() {
  if (cause().ok()) Beat("", false);
  return cause();
}

void Membership::WaitForCause() {
  const absl::Time give_up = absl::Now() + timeout() * 1.5 + absl::Seconds(2);
  while (absl::Now() < give_up) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(this, &Membership::HasCause), kLookForLeavers)) {
        return;
      }
    }
    // One that has left will not be missed.
    const absl::StatusOr<GetStatusReply> status = AskStatus();
    if (status.ok() && status->term() == term_ && status->ranks_size() < options_.world) return;
  }
}

absl::Status Membership::End(absl::Status status) {
  const bool planned = cause().ok() && (status.ok() || program_stop_.stop_requested());
  if (!planned) {
    if (IsCollectiveError(status)) {
      LOG(WARNING) << status.message();
      WaitForCause();
    }
    if (absl::IsAborted(status)) (void)Check();
  }
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (const absl::Status why = cause(); !why.ok() && !status.ok()) return why;
  const std::string failure = planned ? "" : std::string(status.message().substr(0, kMaxFailure));
  const absl::Time give_up = absl::Now() + kLastWords;
  while (!Beat(failure, planned) && absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  // The coordinator knows which rank had left.
  if (!planned && IsCollectiveError(status)) (void)Check();
  if (const absl::Status why = cause(); !why.ok() && !status.ok() && !planned) return why;
  return status;
}

absl::Status Membership::cause() {
  absl::MutexLock lock(&mu_);
  return cause_;
}

absl::Duration Membership::timeout() {
  absl::MutexLock lock(&mu_);
  return timeout_;
}

}  // namespace reckon
