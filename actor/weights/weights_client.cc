#include "actor/weights/weights_client.h"

#include <limits>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "actor/lease/backoff.h"
#include "common/net/channel.h"
#include "common/weights/transfer.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kPollWait = absl::Seconds(2);
constexpr absl::Duration kManifestTimeout = absl::Seconds(10);
constexpr int kAttempts = 4;  // for a version that was asked for

std::string Digests(const WeightManifest& manifest) {
  return absl::StrJoin(manifest.chunk_sha256(), "");
}

}  // namespace

WeightsClient::WeightsClient(Coordinator::StubInterface* stub, std::function<void()> notify)
    : stub_(stub), notify_(std::move(notify)), thread_([this] { Loop(); }) {}

WeightsClient::~WeightsClient() {
  stop_.Stop();
  {
    absl::MutexLock lock(&mu_);
    if (poll_ != nullptr) poll_->TryCancel();
  }
  thread_.join();
}

void WeightsClient::Want(uint64_t version) {
  absl::MutexLock lock(&mu_);
  if (wanted_ == version || (asked_.has_value() && asked_->version == version)) return;
  if (newest_.has_value() && newest_->version == version) return;
  wanted_ = version;
  if (poll_ != nullptr) poll_->TryCancel();
}

std::optional<WeightsClient::Fetched> WeightsClient::Take() {
  absl::MutexLock lock(&mu_);
  if (asked_.has_value()) return std::exchange(asked_, std::nullopt);
  return std::exchange(newest_, std::nullopt);
}

bool WeightsClient::stale() {
  absl::MutexLock lock(&mu_);
  return stale_;
}

void WeightsClient::ClearStale() {
  absl::MutexLock lock(&mu_);
  stale_ = false;
}

std::optional<uint64_t> WeightsClient::wanted() {
  absl::MutexLock lock(&mu_);
  return wanted_;
}

void WeightsClient::Loop() {
  Backoff backoff;
  constexpr uint64_t kNewest = std::numeric_limits<uint64_t>::max();
  uint64_t before = kNewest;
  int attempt = 0;
  while (!stop_.stopped()) {
    const absl::Time begin = absl::Now();
    const std::optional<uint64_t> wanted = this->wanted();
    attempt = wanted.value_or(kNewest) == before ? attempt + 1 : 1;
    before = wanted.value_or(kNewest);
    if (Fetch(wanted, attempt)) {
      backoff.Reset();
      attempt = 0;
      stop_.WaitFor(kLeastPause - (absl::Now() - begin));
    } else {
      stop_.WaitFor(backoff.Next());
    }
  }
}

absl::StatusOr<WeightManifest> WeightsClient::GetManifest(std::optional<uint64_t> wanted) {
  GetManifestRequest request;
  grpc::ClientContext context;
  SetDeadline(&context, kPollWait + kManifestTimeout);
  {
    absl::MutexLock lock(&mu_);
    if (wanted.has_value()) {
      request.set_version(*wanted);
    } else {
      if (newest_fetched_.has_value()) request.set_newer_than(*newest_fetched_);
      request.set_wait_ms(absl::ToInt64Milliseconds(kPollWait));
      poll_ = &context;
      if (stop_.stopped() || wanted_.has_value()) context.TryCancel();
    }
  }
  GetManifestReply reply;
  const absl::Status status = FromGrpc(stub_->GetManifest(&context, request, &reply));
  absl::MutexLock lock(&mu_);
  poll_ = nullptr;
  if (!status.ok()) return status;
  if (!reply.has_manifest()) return absl::NotFoundError("the coordinator holds no such version");
  if (wanted.has_value() && reply.manifest().version() != *wanted) {
    return absl::InternalError("the coordinator sent the manifest of another version");
  }
  return std::move(*reply.mutable_manifest());
}

bool WeightsClient::Fetch(std::optional<uint64_t> wanted, int attempt) {
  absl::StatusOr<WeightManifest> manifest = GetManifest(wanted);
  const absl::Time begin = absl::Now();
  absl::StatusOr<Weights> weights = absl::UnknownError("not fetched");
  uint64_t version = wanted.value_or(0);
  if (manifest.ok()) {
    version = manifest->version();
    if (!wanted.has_value()) NoteEpoch(*manifest);
    weights = FetchWeights(*manifest, &stop_);
  } else if (wanted.has_value()) {
    weights = manifest.status();
  } else {
    // Nothing newer, or called off to fetch what is wanted.
    if (absl::IsCancelled(manifest.status())) return true;
    if (absl::IsNotFound(manifest.status())) {
      CheckEpoch();
      return true;
    }
    LOG_IF(WARNING, attempt == 1) << "no manifest from the coordinator, trying again: "
                                  << manifest.status();
    return false;
  }
  if (stop_.stopped()) return true;
  if (!weights.ok()) {
    LOG_IF(ERROR, attempt == 1) << "weights: version " << version
                                << " refused: " << weights.status();
    if (!wanted.has_value() || attempt < kAttempts) return false;
  }
  Keep({version, std::move(weights), absl::Now() - begin}, wanted.has_value());
  return true;
}

void WeightsClient::CheckEpoch() {
  grpc::ClientContext status_context;
  SetDeadline(&status_context, kManifestTimeout);
  GetStatusReply status;
  if (!stub_->GetStatus(&status_context, {}, &status).ok()) return;
  if (status.epoch() == checked_epoch_ || !epoch_.has_value()) return;
  grpc::ClientContext context;
  SetDeadline(&context, kManifestTimeout);
  GetManifestReply reply;
  if (!stub_->GetManifest(&context, {}, &reply).ok() || !reply.has_manifest()) return;
  // Before the new learner's first version there is nothing to compare.
  if (reply.manifest().epoch() < status.epoch()) return;
  checked_epoch_ = status.epoch();
  NoteEpoch(reply.manifest());
}

void WeightsClient::NoteEpoch(const WeightManifest& manifest) {
  const bool first = !epoch_.has_value();
  if (!first && manifest.epoch() <= *epoch_) return;
  epoch_ = manifest.epoch();
  absl::MutexLock lock(&mu_);
  if (first || (newest_fetched_ == manifest.version() && newest_digests_ == Digests(manifest))) {
    return;
  }
  LOG(INFO) << "weights: a new learner (epoch " << manifest.epoch() << ") publishes; what was "
            << "loaded before is forgotten";
  stale_ = true;
  asked_ = newest_ = std::nullopt;
  newest_fetched_ = std::nullopt;
}

void WeightsClient::Keep(Fetched fetched, bool asked_for) {
  {
    absl::MutexLock lock(&mu_);
    const uint64_t version = fetched.version;
    if (fetched.weights.ok() && (!newest_fetched_.has_value() || *newest_fetched_ < version)) {
      newest_fetched_ = version;
      newest_digests_ = Digests(fetched.weights->manifest);
    }
    if (asked_for || wanted_ == version) {
      asked_ = std::move(fetched);
      if (wanted_ == version) wanted_ = std::nullopt;
    } else {
      newest_ = std::move(fetched);
    }
  }
  notify_();
}

}  // namespace reckon
