#include "actor/weights/weights_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actor/actor_metrics.h"
#include "common/base/stop.h"
#include "common/model/files/manifest.h"
#include "common/net/retry.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// How long one GetManifest waits at the coordinator for a newer version.
constexpr absl::Duration kNewerWait = absl::Seconds(2);
// Deadline of a call, without what it waits at the coordinator.
constexpr absl::Duration kWeightsCallTimeout = absl::Seconds(10);
// Between two calls when the coordinator replies at once.
constexpr absl::Duration kShortestRound = absl::Milliseconds(50);
// Attempts at a requested version before its error is reported. With the waits between them they
// take about a second.
constexpr int kRequestAttempts = 5;

// A source that has sent nothing for so long does not answer.
constexpr absl::Duration kStalled = absl::Seconds(3);
// Attempts at a version whose bytes are damaged before it counts as refused: its source may be
// restarting.
constexpr int kDamagedAttempts = 3;

bool IsRefusal(const absl::Status& status, int attempt) {
  if (absl::IsDataLoss(status)) return attempt >= kDamagedAttempts;
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
         absl::IsUnimplemented(status);
}

}  // namespace

WeightsClient::WeightsClient(Coordinator::StubInterface* stub,
                             std::shared_ptr<const Security> security, std::function<void()> notify,
                             std::unique_ptr<WeightServer> server, WeightsClientOptions options)
    : stub_(stub),
      security_(std::move(security)),
      notify_(std::move(notify)),
      options_(std::move(options)),
      server_(std::move(server)),
      thread_([this] { Loop(); }) {}

WeightsClient::~WeightsClient() {
  stop_.request_stop();
  {
    absl::MutexLock lock(&mu_);
    cancel_wait_.request_stop();
  }
  thread_.join();
}

void WeightsClient::Request(uint64_t version) {
  absl::MutexLock lock(&mu_);
  if (requested_ == version) return;
  if (requested_result_.has_value() && requested_result_->version == version) return;
  if (newest_result_.has_value() && newest_result_->version == version) return;
  requested_ = version;
  cancel_wait_.request_stop();
}

std::optional<WeightsClient::Fetched> WeightsClient::TakeFetched() {
  absl::MutexLock lock(&mu_);
  if (requested_result_.has_value()) return std::exchange(requested_result_, std::nullopt);
  return std::exchange(newest_result_, std::nullopt);
}

bool WeightsClient::has_fetched() {
  absl::MutexLock lock(&mu_);
  return requested_result_.has_value() || newest_result_.has_value();
}

std::optional<WeightsClient::Fetched> WeightsClient::TakeNewerThan(uint64_t version) {
  absl::MutexLock lock(&mu_);
  if (!newest_result_.has_value() || !newest_result_->weights.ok() ||
      newest_result_->version <= version) {
    return std::nullopt;
  }
  return std::exchange(newest_result_, std::nullopt);
}

std::optional<WeightsClient::Trouble> WeightsClient::trouble() {
  absl::MutexLock lock(&mu_);
  if (fetching_.has_value() && absl::Now() - fetching_->moved > kStalled) {
    return Trouble{fetching_->version, absl::UnavailableError(absl::StrCat(
                                           "weight version ", fetching_->version, " from ",
                                           fetching_->source, ": no answer"))};
  }
  return trouble_;
}

void WeightsClient::SetTrouble(std::optional<Trouble> trouble) {
  {
    absl::MutexLock lock(&mu_);
    if (!trouble.has_value() && !trouble_.has_value()) return;
    trouble_ = std::move(trouble);
  }
  notify_();
}

bool WeightsClient::invalidated() {
  absl::MutexLock lock(&mu_);
  return invalidated_;
}

void WeightsClient::ClearInvalidated() {
  absl::MutexLock lock(&mu_);
  invalidated_ = false;
}

std::optional<uint64_t> WeightsClient::requested() {
  absl::MutexLock lock(&mu_);
  return requested_;
}

void WeightsClient::Loop() {
  Backoff backoff;
  std::optional<uint64_t> last;
  int attempt = 0;
  while (!stop_.stop_requested()) {
    const absl::Time begin = absl::Now();
    const std::optional<uint64_t> requested = this->requested();
    attempt = requested == last ? attempt + 1 : 1;
    last = requested;
    absl::Duration pause;
    if (Fetch(requested, attempt)) {
      backoff.Reset();
      attempt = 0;
      pause = kShortestRound - (absl::Now() - begin);
    } else {
      pause = backoff.Next();
    }
    WaitForStop(stop_.get_token(), pause);
  }
}

absl::StatusOr<GetManifestReply> WeightsClient::GetManifest(std::optional<uint64_t> version) {
  GetManifestRequest request;
  request.set_texts_held(texts_sha256_);
  if (server_ != nullptr && !maps_) request.set_source(server_->address());
  std::stop_token cancel = stop_.get_token();
  if (version.has_value()) {
    request.set_version(*version);
  } else {
    absl::MutexLock lock(&mu_);
    if (newest_fetched_.has_value()) request.set_newer_than(*newest_fetched_);
    request.set_wait_ms(absl::ToInt64Milliseconds(kNewerWait));
    cancel_wait_ = std::stop_source();
    cancel = cancel_wait_.get_token();
    if (stop_.stop_requested() || requested_.has_value()) cancel_wait_.request_stop();
  }
  GetManifestReply reply;
  const absl::Status status = CallOnce(
      cancel, kNewerWait + kWeightsCallTimeout,
      [&](grpc::ClientContext* context) { return stub_->GetManifest(context, request, &reply); });
  if (!status.ok()) return status;
  if (!reply.has_manifest()) return absl::NotFoundError("the coordinator has no such version");
  if (version.has_value() && reply.manifest().version() != *version) {
    return absl::InternalError(
        absl::StrCat("the coordinator sent the manifest of version ", reply.manifest().version()));
  }
  RETURN_IF_ERROR(KeepTexts(reply.mutable_manifest()));
  return reply;
}

absl::Status WeightsClient::KeepTexts(WeightManifest* manifest) {
  const std::string& digest = manifest->texts_sha256();
  if (digest.empty()) return absl::OkStatus();  // adapters
  if (manifest->has_texts()) {
    if (TextsDigest(manifest->texts()) != digest) {
      return absl::DataLossError(absl::StrCat("the texts of weight version ", manifest->version(),
                                              " are not those of its manifest"));
    }
    texts_ = manifest->texts();
    texts_sha256_ = digest;
  } else if (digest == texts_sha256_) {
    *manifest->mutable_texts() = texts_;
  } else {
    return absl::InternalError(absl::StrCat("the coordinator sent weight version ",
                                            manifest->version(), " without its texts"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Weights> WeightsClient::FetchVersion(const GetManifestReply& reply) {
  const WeightManifest& manifest = reply.manifest();
  if (manifest.has_base_version()) {
    ASSIGN_OR_RETURN(std::shared_ptr<const Weights> base, BaseOf(manifest));
    ASSIGN_OR_RETURN(Weights weights, FetchFrom(reply));
    weights.base = std::move(base);
    return weights;
  }
  ASSIGN_OR_RETURN(Weights weights, FetchFrom(reply));
  if (base_ != nullptr && base_->manifest.version() < manifest.version()) {
    const uint64_t former = std::exchange(base_, nullptr)->manifest.version();
    StopServing(former);
  }
  return weights;
}

absl::StatusOr<std::shared_ptr<const Weights>> WeightsClient::BaseOf(
    const WeightManifest& adapters) {
  const uint64_t version = adapters.base_version();
  const auto is_base = [&](const WeightManifest& manifest) {
    return manifest.version() == version && manifest.term() == adapters.term();
  };
  if (base_ != nullptr && is_base(base_->manifest)) return base_;
  ASSIGN_OR_RETURN(const GetManifestReply reply, GetManifest(version));
  if (reply.manifest().has_base_version()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "weight version ", adapters.version(), " is adapters over adapters, version ", version));
  }
  std::shared_ptr<const Weights> base;
  // A learner that was started again publishes the same weights in its own term.
  const Weights* const held = held_.has_value() ? &*held_ : nullptr;
  for (const Weights* have : {base_.get(), held}) {
    if (have == nullptr || have->manifest.version() != version) continue;
    if (Digests(have->manifest) != Digests(reply.manifest())) continue;
    base = std::make_shared<const Weights>(Weights{reply.manifest(), have->bytes});
  }
  if (base == nullptr) {
    ASSIGN_OR_RETURN(Weights fetched, FetchFrom(reply));
    base = std::make_shared<const Weights>(std::move(fetched));
  }
  const std::shared_ptr<const Weights> former = std::exchange(base_, base);
  if (former != nullptr) StopServing(former->manifest.version());
  return base;
}

void WeightsClient::StopServing(uint64_t version) {
  if (server_ == nullptr) return;
  if (held_.has_value() && held_->manifest.version() == version) return;
  if (base_ != nullptr && base_->manifest.version() == version) return;
  server_->Drop(version);
}

absl::StatusOr<Weights> WeightsClient::FetchFrom(const GetManifestReply& reply) {
  const WeightManifest& manifest = reply.manifest();
  FetchOptions options;
  options.progress = [&](const std::string& source) {
    absl::MutexLock lock(&mu_);
    fetching_ = Fetching{manifest.version(), source, absl::Now()};
  };
  if (held_.has_value() && held_->manifest.term() == manifest.term()) options.older = &*held_;
  options.packed_layout = options_.packed_layout;
  if (options_.receive != nullptr) {
    options.receive = [&](const WeightManifest& version, char* buffer, const std::stop_token& stop,
                          const std::function<void(uint64_t)>& good) {
      options_.receive(version, buffer, stop, [&](uint64_t chunk) {
        ActorMetrics::Process().broadcast_bytes.Increment(
            static_cast<double>(ChunkSize(version, chunk)));
        good(chunk);
      });
    };
  }
  options.relay = server_.get();
  options.relays.assign(reply.relays().begin(), reply.relays().end());
  absl::StatusOr<Weights> weights = FetchWeights(manifest, security_, stop_.get_token(), options);
  {
    absl::MutexLock lock(&mu_);
    fetching_.reset();
  }
  if (!weights.ok()) return weights;
  maps_ = weights->bytes->mapped();
  // Of what was fetched one version is kept, and what adapters are over.
  const std::optional<Weights> former = std::exchange(held_, std::nullopt);
  if (!maps_) held_ = Weights{manifest, weights->bytes};
  if (former.has_value() && former->manifest.version() != manifest.version()) {
    StopServing(former->manifest.version());
  }
  return weights;
}

bool WeightsClient::Fetch(std::optional<uint64_t> requested, int attempt) {
  ActorMetrics& metrics = ActorMetrics::Process();
  absl::StatusOr<GetManifestReply> reply = GetManifest(requested);
  const absl::Time begin = absl::Now();
  absl::StatusOr<Weights> weights = absl::UnknownError("not fetched");
  uint64_t version = requested.value_or(0);
  if (reply.ok()) {
    version = reply->manifest().version();
    if (!requested.has_value()) NoteTerm(reply->manifest());
    weights = FetchVersion(*reply);
    if (weights.ok()) {
      metrics.fetch_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
      metrics.received_bytes.Increment(static_cast<double>(reply->manifest().total_bytes()));
    }
  } else if (requested.has_value()) {
    weights = reply.status();
  } else {
    if (absl::IsCancelled(reply.status())) return true;
    if (absl::IsNotFound(reply.status())) {
      CheckTerm();
      return true;
    }
    LOG_IF(WARNING, attempt == 1) << "cannot get a manifest, trying again: " << reply.status();
    return false;
  }
  if (stop_.stop_requested()) return true;
  if (!weights.ok()) {
    LOG_IF(ERROR, attempt == 1) << "weights: cannot fetch version " << version << ": "
                                << weights.status();
    const std::optional<Trouble> before = trouble();
    const bool again = before.has_value() && before->refused && before->version == version &&
                       before->why.code() == weights.status().code();
    const bool refused = again || IsRefusal(weights.status(), attempt);
    metrics.CountWeightError(refused);
    SetTrouble(Trouble{version, weights.status(), refused});
    if (!requested.has_value() || attempt < kRequestAttempts) return false;
  }
  if (weights.ok()) SetTrouble(std::nullopt);
  Keep({version, std::move(weights), absl::Now() - begin}, requested.has_value());
  return true;
}

void WeightsClient::Keep(Fetched fetched, bool was_requested) {
  {
    absl::MutexLock lock(&mu_);
    const uint64_t version = fetched.version;
    if (fetched.weights.ok() && (!newest_fetched_.has_value() || *newest_fetched_ < version)) {
      newest_fetched_ = version;
      newest_digests_ = Digests(fetched.weights->manifest);
    }
    if (was_requested || requested_ == version) {
      requested_result_ = std::move(fetched);
      if (requested_ == version) requested_ = std::nullopt;
    } else {
      newest_result_ = std::move(fetched);
    }
  }
  notify_();
}

void WeightsClient::CheckTerm() {
  GetStatusReply status;
  const auto get_status = [&](grpc::ClientContext* context) {
    return stub_->GetStatus(context, {}, &status);
  };
  if (!CallOnce(stop_.get_token(), kWeightsCallTimeout, get_status).ok()) return;
  if (status.term() == checked_term_ || !term_.has_value()) return;
  GetManifestReply reply;
  const auto get_newest = [&](grpc::ClientContext* context) {
    return stub_->GetManifest(context, {}, &reply);
  };
  if (!CallOnce(stop_.get_token(), kWeightsCallTimeout, get_newest).ok() || !reply.has_manifest())
    return;
  // Until the new learner publishes its first version, there is nothing to compare.
  if (reply.manifest().term() < status.term()) return;
  checked_term_ = status.term();
  NoteTerm(reply.manifest());
}

void WeightsClient::NoteTerm(const WeightManifest& manifest) {
  const bool first = !term_.has_value();
  if (!first && manifest.term() <= *term_) return;
  term_ = manifest.term();
  absl::MutexLock lock(&mu_);
  // Equal adapters may be over another base.
  const bool same = newest_fetched_ == manifest.version() && !manifest.has_base_version() &&
                    newest_digests_ == Digests(manifest);
  if (first || same) return;
  LOG(INFO) << "weights: a new learner (term " << manifest.term()
            << ") publishes, discarding the versions of the former one";
  invalidated_ = true;
  requested_result_ = newest_result_ = std::nullopt;
  newest_fetched_ = std::nullopt;
}

}  // namespace reckon
