#include "common/model/transfer/fetch.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/files/weight_bytes.h"
#include "common/net/channel.h"
#include "common/net/retry.h"
#include "proto/weight_source.grpc.pb.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// A call asks for few chunks, so that its deadline detects a stall without limiting the transfer.
constexpr uint64_t kChunksPerCall = 8;
constexpr absl::Duration kCallTimeout = absl::Seconds(30);
// Times that every source is tried; more than once only after transient errors.
constexpr int kPasses = 2;

// Fetches chunks [*next, end) into `buffer` and advances *next past each verified one.
absl::Status FetchSome(WeightSource::Stub* stub, const WeightManifest& manifest, uint64_t end,
                       const std::stop_token& stop, char* buffer, uint64_t* next,
                       const std::function<void()>& progress) {
  FetchChunksRequest request;
  request.set_version(manifest.version());
  request.set_first_chunk(*next);
  request.set_num_chunks(end - *next);
  grpc::ClientContext context;
  SetDeadline(&context, kCallTimeout);
  auto reader = stub->FetchChunks(&context, request);
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  WeightChunk chunk;
  absl::Status bad;
  while (bad.ok() && reader->Read(&chunk)) {
    bad = *next < end ? CheckChunk(manifest, *next, chunk)
                      : absl::DataLossError("the source sent more chunks than requested");
    if (!bad.ok()) break;
    // Only verified chunks advance *next, so the next source continues where this one failed and
    // nothing is fetched twice.
    std::memcpy(buffer + *next * manifest.chunk_bytes(), chunk.data().data(), chunk.data().size());
    ++*next;
    progress();
  }
  if (!bad.ok()) {
    context.TryCancel();
    // gRPC requires Finish also after a cancelled stream; the status that counts is `bad`.
    (void)reader->Finish();
    return bad;
  }
  RETURN_IF_ERROR(FromGrpc(reader->Finish()));
  if (*next < end) return absl::UnavailableError("the source ended its stream early");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Weights> FetchWeights(const WeightManifest& manifest,
                                     const std::shared_ptr<const Security>& security,
                                     std::stop_token stop, const FetchProgress& progress) {
  RETURN_IF_ERROR(CheckManifest(manifest));
  std::string what = absl::StrCat("weight version ", manifest.version());
  if (manifest.sources().empty()) {
    return absl::FailedPreconditionError(what + ": the manifest names no source");
  }
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> buffer,
                   WeightBytes::OfSize(manifest.total_bytes()));
  const uint64_t chunks = manifest.chunk_sha256_size();
  uint64_t next = 0;
  absl::Status damage, last;
  bool retry = true;
  for (int pass = 0; pass < kPasses && retry; ++pass) {
    retry = false;  // a retry cures neither damage nor a dropped version
    for (const std::string& source : manifest.sources()) {
      const auto channel = MakeChannel(source, security, Service::kWeightSource);
      progress(source);
      absl::Status status = channel.status();
      std::unique_ptr<WeightSource::Stub> stub;
      if (status.ok()) stub = WeightSource::NewStub(*channel);
      while (status.ok() && next < chunks) {
        uint64_t end = std::min(chunks, next + kChunksPerCall);
        status = FetchSome(stub.get(), manifest, end, stop, buffer->data(), &next,
                           [&] { progress(source); });
        if (stop.stop_requested()) return absl::CancelledError(what + ": stopped");
      }
      if (next == chunks) return Weights{manifest, std::move(buffer)};
      LOG(WARNING) << what << " from " << source << ": " << status;
      last = absl::Status(status.code(),
                          absl::StrCat(what, " from ", source, ": ", PlainReason(status)));
      if (absl::IsDataLoss(status)) damage = last;
      retry |= IsTransient(status);
    }
  }
  // Damage outranks an unreachable source: it tells the operator which source serves wrong bytes.
  return damage.ok() ? last : damage;
}

}  // namespace reckon
