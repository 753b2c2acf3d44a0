#include "learner/publish/publisher.h"

#include <iterator>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/net/retry.h"
#include "learner/report/learner_metrics.h"

namespace reckon {
namespace {

// Short, so that a run says soon that it waits for the coordinator; the call is idempotent.
constexpr absl::Duration kPublishTimeout = absl::Seconds(4);

}  // namespace

Publisher::Publisher(std::unique_ptr<Broadcaster> broadcaster, std::unique_ptr<WeightServer> server,
                     DigestKind digests, Coordinator::StubInterface* stub, uint64_t term,
                     std::stop_token stop, OnOutage on_outage)
    : broadcaster_(std::move(broadcaster)),
      server_(std::move(server)),
      digests_(digests),
      stub_(stub),
      term_(term),
      stop_(stop),
      on_outage_(std::move(on_outage)) {
  refresh_ = Registry::Process().OnCollect([this] {
    LearnerMetrics& metrics = LearnerMetrics::Process();
    MirrorTotal(static_cast<double>(server_->bytes_sent()), &metrics.sent_bytes);
    if (broadcaster_ != nullptr) {
      MirrorTotal(static_cast<double>(broadcaster_->bytes_sent()), &metrics.broadcast_bytes);
    }
  });
}

absl::StatusOr<std::unique_ptr<Publisher>> Publisher::Start(
    const std::string& listen, const std::string& announce,
    const std::shared_ptr<const Security>& security, Coordinator::StubInterface* stub,
    uint64_t term, std::stop_token stop, OnOutage on_outage,
    std::unique_ptr<Broadcaster> broadcaster) {
  grpc::Service* const meeting = broadcaster == nullptr ? nullptr : broadcaster->meeting();
  ASSIGN_OR_RETURN(std::unique_ptr<WeightServer> server,
                   WeightServer::Start(listen, security, announce, meeting));
  ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(listen));
  const DigestKind digests = address.is_loopback() ? DigestKind::kXxh3 : DigestKind::kSha256;
  return std::unique_ptr<Publisher>(new Publisher(std::move(broadcaster), std::move(server),
                                                  digests, stub, term, stop, std::move(on_outage)));
}

// The server waits until all calls have been answered.
Publisher::~Publisher() {
  if (broadcaster_ != nullptr) broadcaster_->meeting()->End();
}

absl::Status Publisher::Publish(uint64_t version, Weights weights) {
  weights.manifest.set_version(version);
  weights.manifest.set_term(term_);
  weights.manifest.clear_sources();
  weights.manifest.add_sources(server_->address());
  weights.manifest.clear_memory();
  if (!weights.bytes->where().name().empty()) {
    *weights.manifest.mutable_memory() = weights.bytes->where();
  }
  // Of the newest version alone: who asks for another packs it.
  newest_packed_ = std::exchange(weights.packed, nullptr);
  PublishWeightsRequest request;
  if (weights.manifest.has_texts()) {
    weights.manifest.set_texts_sha256(TextsDigest(weights.manifest.texts()));
  }
  *request.mutable_manifest() = weights.manifest;
  const std::string& texts = request.manifest().texts_sha256();
  if (texts == sent_texts_) request.mutable_manifest()->clear_texts();
  // Before the coordinator knows of it: an actor that hears of the version joins, or asks for its
  // chunks, at once.
  if (broadcaster_ != nullptr) broadcaster_->Begin(version, weights);
  server_->Add(version, std::move(weights));
  MarkReply reply;
  RETURN_IF_ERROR(CallWithRetry(stop_,
                                {.attempt_timeout = kPublishTimeout, .on_outage = on_outage_},
                                [&](grpc::ClientContext* context) {
                                  return stub_->PublishWeights(context, request, &reply);
                                }));
  const WeightManifest& manifest = request.manifest();
  if (!texts.empty()) sent_texts_ = texts;
  served_[version] = manifest.has_base_version() ? manifest.base_version() : version;
  // After the coordinator has the new version, so that an actor which was told of the one before
  // can still fetch it.
  std::set<uint64_t> kept = {0};
  for (auto it = served_.rbegin(); it != served_.rend() && std::distance(served_.rbegin(), it) < 2;
       ++it) {
    kept.insert({it->first, it->second});
  }
  std::erase_if(served_, [&](const auto& served) {
    if (kept.contains(served.first)) return false;
    server_->Drop(served.first);
    return true;
  });
  return absl::OkStatus();
}

}  // namespace reckon
