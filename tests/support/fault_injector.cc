#include "tests/support/fault_injector.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

using grpc::experimental::InterceptionHookPoints;

FaultInjector::Key KeyOf(const RolloutKey& key) { return {key.plan(), key.group(), key.sample()}; }

std::string BytesOf(grpc::ByteBuffer* buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (buffer == nullptr || !buffer->Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace

class FaultInjector::Call : public grpc::experimental::Interceptor {
 public:
  Call(FaultInjector* owner, grpc::experimental::ClientRpcInfo* info)
      : owner_(owner), context_(info->client_context()), verb_(info->method()) {
    verb_ = verb_.substr(verb_.rfind('/') + 1);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    const auto at = [methods](InterceptionHookPoints point) {
      return methods->QueryInterceptionHookPoint(point);
    };
    if (at(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) owner_->Started(verb_);
    if (at(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      request_ = BytesOf(methods->GetSerializedSendMessage());
      owner_->Sent(verb_, request_);
    }
    if (at(InterceptionHookPoints::POST_RECV_MESSAGE) && methods->GetRecvMessage() != nullptr &&
        verb_ == "Submit") {
      broken_ = owner_->EditReply(*static_cast<SubmitReply*>(methods->GetRecvMessage()));
      if (broken_) context_->TryCancel();
    }
    if (at(InterceptionHookPoints::POST_RECV_STATUS)) {
      if (broken_) *methods->GetRecvStatus() = {grpc::StatusCode::UNAVAILABLE, "stream broken"};
      owner_->Ended(verb_, request_, methods->GetRecvStatus());
    }
    methods->Proceed();
  }

 private:
  FaultInjector* const owner_;
  grpc::ClientContext* const context_;
  std::string verb_, request_;
  bool broken_ = false;
};

class FaultInjector::Factory : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit Factory(FaultInjector* owner) : owner_(owner) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* info) override {
    return new Call(owner_, info);
  }

 private:
  FaultInjector* const owner_;
};

std::shared_ptr<grpc::Channel> FaultInjector::NewChannel(const std::string& address) {
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Factory>(this));
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      address, grpc::InsecureChannelCredentials(), ClientArguments(), std::move(factories));
}

void FaultInjector::FailCall(const std::string& verb, int n, absl::Status status) {
  absl::MutexLock lock(&mu_);
  failures_[verb][ended_[verb] + n] = std::move(status);
}

void FaultInjector::DelayCalls(const std::string& verb, absl::Duration delay) {
  absl::MutexLock lock(&mu_);
  delays_[verb] = delay;
}

void FaultInjector::BreakStreamAfter(int rollouts) {
  absl::MutexLock lock(&mu_);
  break_after_ = rollouts;
}

void FaultInjector::DropAcks(bool drop) {
  absl::MutexLock lock(&mu_);
  drop_acks_ = drop;
}

void FaultInjector::RejectPlan(const std::string& plan) {
  absl::MutexLock lock(&mu_);
  rejected_plans_.insert(plan);
}

int FaultInjector::calls(const std::string& verb) const {
  absl::MutexLock lock(&mu_);
  auto found = started_.find(verb);
  return found == started_.end() ? 0 : found->second;
}

std::map<FaultInjector::Key, Rollout> FaultInjector::received() const {
  absl::MutexLock lock(&mu_);
  return received_;
}

int FaultInjector::largest_message() const {
  absl::MutexLock lock(&mu_);
  return largest_message_;
}

int FaultInjector::copies(const Key& key) const {
  absl::MutexLock lock(&mu_);
  auto found = copies_.find(key);
  return found == copies_.end() ? 0 : found->second;
}

void FaultInjector::Started(const std::string& verb) {
  absl::Duration delay;
  {
    absl::MutexLock lock(&mu_);
    ++started_[verb];
    auto found = delays_.find(verb);
    if (found != delays_.end()) delay = found->second;
  }
  absl::SleepFor(delay);
}

void FaultInjector::Sent(const std::string& verb, const std::string& bytes) {
  SubmitRequest request;
  if (verb != "Submit" || !request.ParseFromString(bytes)) return;
  absl::MutexLock lock(&mu_);
  largest_message_ = std::max(largest_message_, request.rollouts_size());
  for (const SubmitRequest::LeasedRollout& leased : request.rollouts()) {
    Rollout rollout;
    if (!rollout.ParseFromString(leased.rollout())) continue;
    const Key key = KeyOf(rollout.key());
    ++copies_[key];
    sent_[key] = std::move(rollout);
  }
}

bool FaultInjector::EditReply(SubmitReply& reply) {
  absl::MutexLock lock(&mu_);
  bool breaks = false;
  for (SubmitReply::Ack& ack : *reply.mutable_acks()) {
    const Key key = KeyOf(ack.key());
    if (ack.outcome() == SubmitReply::Ack::ACCEPTED ||
        ack.outcome() == SubmitReply::Ack::DUPLICATE) {
      received_.emplace(key, sent_[key]);
    }
    if (break_after_ >= 0 && break_after_-- == 0) breaks = true;
    if (rejected_plans_.count(ack.key().plan()) > 0) {
      ack.set_outcome(SubmitReply::Ack::REJECTED);
      ack.set_message("not liked");
    }
  }
  if (breaks || drop_acks_) reply.clear_acks();
  return breaks;
}

void FaultInjector::Ended(const std::string& verb, const std::string& request,
                          grpc::Status* status) {
  absl::MutexLock lock(&mu_);
  if (status->ok()) answered_[verb].push_back(request);
  auto& failures = failures_[verb];
  auto failure = failures.find(++ended_[verb]);
  if (failure != failures.end()) *status = ToGrpc(failure->second);
}

}  // namespace reckon
