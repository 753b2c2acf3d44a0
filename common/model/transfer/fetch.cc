#include "common/model/transfer/fetch.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/files/weight_bytes.h"
#include "common/model/transfer/chunk_arrivals.h"
#include "common/model/transfer/chunk_streams.h"
#include "common/net/channel.h"
#include "common/net/retry.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Times that every source is tried; more than once only after transient errors.
constexpr int kPasses = 2;
// A source that has sent nothing for so long is given up. A parent in the tree that hangs must not
// delay those below it for longer; the last source has the time of a call.
constexpr absl::Duration kSilence = absl::Seconds(10);
constexpr absl::Duration kLastSilence = absl::Seconds(30);
constexpr char kBroadcast[] = "a broadcast";  // as a source

// The publisher's own memory, where this process can map it; without bytes: the chunks have to be
// fetched.
Weights MapMemory(const WeightManifest& manifest, const std::string& layout) {
  Weights out = {manifest};
  if (!manifest.has_memory()) return out;
  absl::StatusOr<std::shared_ptr<WeightBytes>> mapped =
      WeightBytes::Map(manifest.memory(), manifest.total_bytes());
  if (mapped.ok() && !layout.empty() && manifest.packed().layout() == layout) {
    auto packed = WeightBytes::Map(manifest.packed().memory(), manifest.packed().bytes());
    if (packed.ok()) out.packed = *std::move(packed);
  }
  absl::Status status = mapped.status();
  // What is packed is what the publisher computes with: memory as good as this process's own.
  if (status.ok() && out.packed == nullptr) status = CheckChunks(manifest, (*mapped)->bytes());
  if (status.ok()) {
    out.bytes = *std::move(mapped);
    return out;
  }
  // It may have been filled with a later version since; then a source says so.
  LOG_IF(WARNING, !absl::IsNotFound(status))
      << "weight version " << manifest.version() << " from memory: " << status;
  return out;
}

struct Source {
  std::string address;
  Service service;
  absl::Duration silence;
};

std::vector<Source> SourcesOf(const WeightManifest& manifest, const FetchOptions& options) {
  std::vector<Source> out;
  for (const std::string& relay : options.relays) {
    out.push_back({relay, Service::kWeightRelay, kSilence});
  }
  for (const std::string& source : manifest.sources()) {
    out.push_back({source, Service::kWeightSource, kSilence});
  }
  out.back().silence = kLastSilence;
  return out;
}

absl::Status FetchFrom(const WeightManifest& manifest, const Source& source,
                       ChunkStreams* streams) {
  ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(source.address));
  if (manifest.chunk_xxh3_size() > 0 && !address.is_loopback()) {
    return absl::FailedPreconditionError("not on this host, and the manifest has no SHA-256");
  }
  const absl::Status status = streams->From(source.address, source.service, source.silence);
  // Perhaps the source has other weights under the older number.
  if (!absl::IsDataLoss(status) || !streams->ForgetOlder()) return status;
  LOG(WARNING) << "weight version " << manifest.version() << " from " << source.address
               << ", as differences: " << status;
  return streams->From(source.address, source.service, source.silence);
}

}  // namespace

absl::StatusOr<Weights> FetchWeights(const WeightManifest& manifest,
                                     const std::shared_ptr<const Security>& security,
                                     std::stop_token stop, const FetchOptions& options) {
  RETURN_IF_ERROR(CheckManifest(manifest));
  std::string what = absl::StrCat("weight version ", manifest.version());
  if (manifest.sources().empty()) {
    return absl::FailedPreconditionError(what + ": the manifest names no source");
  }
  if (Weights mapped = MapMemory(manifest, options.packed_layout); mapped.bytes != nullptr) {
    return mapped;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> buffer,
                   WeightBytes::OfSize(manifest.total_bytes()));
  const Weights weights = {manifest, buffer};
  auto arrivals = std::make_shared<ChunkArrivals>(Chunks(manifest));
  if (options.relay != nullptr) options.relay->AddArriving(manifest.version(), weights, arrivals);
  std::string source;
  const Weights* older = options.older;
  if (older != nullptr && older->manifest.total_bytes() != manifest.total_bytes()) older = nullptr;
  ChunkStreams streams(manifest, older, security, stop, buffer->data(), [&](uint64_t chunk) {
    arrivals->Mark(chunk);
    options.progress(source);
  });
  if (options.receive != nullptr) {
    options.progress(kBroadcast);
    options.receive(manifest, buffer->data(), stop, [&](uint64_t chunk) {
      streams.Have(chunk);
      arrivals->Mark(chunk);
      options.progress(kBroadcast);
    });
    if (streams.complete()) return weights;
  }
  absl::Status damage, last;
  bool retry = true;
  for (int pass = 0; pass < kPasses && retry; ++pass) {
    retry = false;  // a retry cures neither damage nor a dropped version
    for (const Source& next : SourcesOf(manifest, options)) {
      source = next.address;
      options.progress(source);
      const absl::Status status = FetchFrom(manifest, next, &streams);
      if (stop.stop_requested()) break;
      if (status.ok()) return weights;
      LOG(WARNING) << what << " from " << source << ": " << status;
      last = absl::Status(status.code(),
                          absl::StrCat(what, " from ", source, ": ", PlainReason(status)));
      if (absl::IsDataLoss(status)) damage = last;
      retry |= IsTransient(status);
    }
    if (stop.stop_requested()) break;
  }
  arrivals->End();
  if (options.relay != nullptr) options.relay->Drop(manifest.version());
  if (stop.stop_requested()) return absl::CancelledError(what + ": stopped");
  // Damage outranks an unreachable source: it tells the operator which source serves wrong bytes.
  return damage.ok() ? last : damage;
}

}  // namespace reckon
