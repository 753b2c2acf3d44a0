#include "actor/fake_coordinator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"
// Last.
#include "common/base/log.h"

namespace reckon {

FakeCoordinator::FakeCoordinator() { StartServer(); }
FakeCoordinator::~FakeCoordinator() { StopServer(); }

void FakeCoordinator::StartServer() {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr);
  port_ = port;
}

void FakeCoordinator::StopServer() {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now()));
  server_->Wait();
  server_ = nullptr;
}

std::string FakeCoordinator::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeCoordinator::AddLease(const reckon::Lease& lease, const PlanSpec& plan) {
  absl::MutexLock lock(&mu_);
  leases_.emplace_back(lease, plan);
}

void FakeCoordinator::Publish(const WeightManifest& manifest) {
  absl::MutexLock lock(&mu_);
  manifests_[manifest.version()] = manifest;
  newest_ = manifest.version();
}

void FakeCoordinator::SetEpoch(uint64_t epoch) {
  absl::MutexLock lock(&mu_);
  epoch_ = epoch;
}

void FakeCoordinator::Lose(uint64_t lease) {
  absl::MutexLock lock(&mu_);
  lost_.insert(lease);
}

void FakeCoordinator::BreakStreamAfter(int rollouts) {
  absl::MutexLock lock(&mu_);
  break_after_ = rollouts;
}

void FakeCoordinator::RejectGroup(uint64_t group) {
  absl::MutexLock lock(&mu_);
  rejected_groups_.insert(group);
}

void FakeCoordinator::HoldAcks(bool hold) {
  absl::MutexLock lock(&mu_);
  hold_acks_ = hold;
}

std::map<FakeCoordinator::Key, Rollout> FakeCoordinator::received() {
  absl::MutexLock lock(&mu_);
  return received_;
}

int FakeCoordinator::copies(const Key& key) {
  absl::MutexLock lock(&mu_);
  return copies_[key];
}

int FakeCoordinator::streams() {
  absl::MutexLock lock(&mu_);
  return streams_;
}

std::vector<LeaseRequest> FakeCoordinator::lease_requests() {
  absl::MutexLock lock(&mu_);
  return lease_requests_;
}

int FakeCoordinator::renewals(uint64_t lease) {
  absl::MutexLock lock(&mu_);
  return renewals_[lease];
}

std::map<uint64_t, std::string> FakeCoordinator::returned() {
  absl::MutexLock lock(&mu_);
  return returned_;
}

bool FakeCoordinator::Await(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

grpc::Status FakeCoordinator::Lease(grpc::ServerContext* context, const LeaseRequest* request,
                                    LeaseReply* reply) {
  auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !leases_.empty(); };
  absl::MutexLock lock(&mu_);
  lease_requests_.push_back(*request);
  mu_.AwaitWithTimeout(absl::Condition(&any),
                       absl::Milliseconds(std::min<uint32_t>(request->wait_ms(), 100)));
  int64_t room = request->max_samples();
  while (!leases_.empty() && room > 0) {
    room -= leases_.front().first.samples_size();
    *reply->add_leases() = leases_.front().first;
    *reply->add_plans() = leases_.front().second;
    leases_.pop_front();
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::RenewLeases(grpc::ServerContext* context,
                                          const RenewLeasesRequest* request,
                                          RenewLeasesReply* reply) {
  absl::MutexLock lock(&mu_);
  for (uint64_t lease : request->leases()) {
    ++renewals_[lease];
    if (lost_.count(lease) > 0) reply->add_lost(lease);
  }
  reply->set_expires_in_ms(200);
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::ReturnLeases(grpc::ServerContext* context,
                                           const ReturnLeasesRequest* request,
                                           ReturnLeasesReply* reply) {
  absl::MutexLock lock(&mu_);
  for (uint64_t lease : request->leases()) returned_[lease] = request->error();
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::Submit(grpc::ServerContext* context,
                                     grpc::ServerReaderWriter<SubmitReply, SubmitRequest>* stream) {
  {
    absl::MutexLock lock(&mu_);
    ++streams_;
  }
  SubmitRequest request;
  while (stream->Read(&request)) {
    SubmitReply reply;
    {
      absl::MutexLock lock(&mu_);
      const RolloutKey& key = request.rollout().key();
      const Key id(key.plan(), key.group(), key.sample());
      SubmitReply::Ack* ack = reply.add_acks();
      *ack->mutable_key() = key;
      if (rejected_groups_.count(key.group()) > 0) {
        ack->set_outcome(SubmitReply::Ack::REJECTED);
        ack->set_message("not liked");
      } else {
        const bool known = !received_.emplace(id, request.rollout()).second;
        ack->set_outcome(known ? SubmitReply::Ack::DUPLICATE : SubmitReply::Ack::ACCEPTED);
        ++copies_[id];
      }
      if (break_after_ >= 0 && break_after_-- == 0) {
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken off");
      }
      if (hold_acks_) continue;
    }
    stream->Write(reply);
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::GetManifest(grpc::ServerContext* context,
                                          const GetManifestRequest* request,
                                          GetManifestReply* reply) {
  absl::MutexLock lock(&mu_);
  if (request->has_version()) {
    auto found = manifests_.find(request->version());
    if (found == manifests_.end()) return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such");
    *reply->mutable_manifest() = found->second;
    return grpc::Status::OK;
  }
  auto any = [this, request]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !manifests_.empty() && (!request->has_newer_than() || newest_ > request->newer_than());
  };
  if (mu_.AwaitWithTimeout(absl::Condition(&any),
                           absl::Milliseconds(std::min<uint32_t>(request->wait_ms(), 100)))) {
    *reply->mutable_manifest() = manifests_.at(newest_);
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::GetStatus(grpc::ServerContext* context,
                                        const GetStatusRequest* request, GetStatusReply* reply) {
  absl::MutexLock lock(&mu_);
  reply->set_epoch(epoch_);
  return grpc::Status::OK;
}

}  // namespace reckon
