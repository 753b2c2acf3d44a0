#include <atomic>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "common/weights/manifest.h"
#include "common/weights/mapped_bytes.h"
#include "common/weights/transfer.h"
#include "proto/weight_source.grpc.pb.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// One call asks for a few chunks, so that its deadline bounds a stall and not the whole transfer.
constexpr uint64_t kChunksPerCall = 8;
constexpr absl::Duration kCallTimeout = absl::Seconds(30);
// Times over the list of sources, for those that were only unreachable for a moment.
constexpr int kPasses = 2;

// Cancels a call when `stop` is stopped, for as long as it lives.
class CancelOnStop {
 public:
  CancelOnStop(grpc::ClientContext* context, const StopToken* stop) {
    if (stop == nullptr) return;
    thread_ = std::thread([this, context, stop] {
      while (!done_) {
        if (stop->WaitFor(absl::Milliseconds(20))) {
          context->TryCancel();
          return;
        }
      }
    });
  }
  ~CancelOnStop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

// Fetches chunks [*next, end) into `buffer`; *next moves past each verified one.
absl::Status FetchSome(WeightSource::Stub* stub, const WeightManifest& manifest, uint64_t end,
                       const StopToken* stop, char* buffer, uint64_t* next) {
  FetchChunksRequest request;
  request.set_version(manifest.version());
  request.set_first_chunk(*next);
  request.set_num_chunks(end - *next);
  grpc::ClientContext context;
  SetDeadline(&context, kCallTimeout);
  auto reader = stub->FetchChunks(&context, request);
  CancelOnStop cancel(&context, stop);
  WeightChunk chunk;
  absl::Status bad;
  while (bad.ok() && reader->Read(&chunk)) {
    bad = *next < end ? CheckChunk(manifest, *next, chunk)
                      : absl::DataLossError("the source sent more chunks than asked for");
    if (!bad.ok()) break;
    std::memcpy(buffer + *next * manifest.chunk_bytes(), chunk.data().data(), chunk.data().size());
    ++*next;
  }
  if (!bad.ok()) {
    context.TryCancel();
    (void)reader->Finish();
    return bad;
  }
  RETURN_IF_ERROR(FromGrpc(reader->Finish()));
  if (*next < end) return absl::UnavailableError("the source ended its stream early");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Weights> FetchWeights(const WeightManifest& manifest, const StopToken* stop) {
  RETURN_IF_ERROR(CheckManifest(manifest));
  std::string what = absl::StrCat("weight version ", manifest.version());
  if (manifest.sources().empty()) {
    return absl::FailedPreconditionError(what + ": its manifest names no source");
  }
  ASSIGN_OR_RETURN(std::shared_ptr<MappedBytes> buffer,
                   MappedBytes::OfSize(manifest.total_bytes()));
  const uint64_t chunks = manifest.chunk_sha256_size();
  uint64_t next = 0;
  absl::Status damage, last;
  bool retry = true;
  for (int pass = 0; pass < kPasses && retry; ++pass) {
    retry = false;  // damage and a dropped version do not go away by asking again
    for (const std::string& source : manifest.sources()) {
      auto stub = WeightSource::NewStub(MakeChannel(source));
      absl::Status status;
      while (status.ok() && next < chunks) {
        uint64_t end = std::min(chunks, next + kChunksPerCall);
        status = FetchSome(stub.get(), manifest, end, stop, buffer->data(), &next);
        if (stop != nullptr && stop->stopped()) return absl::CancelledError(what + ": stopped");
      }
      if (next == chunks) return Weights{manifest, std::move(buffer)};
      LOG(WARNING) << what << " from " << source << ": " << status;
      last =
          absl::Status(status.code(), absl::StrCat(what, " from ", source, ": ", status.message()));
      if (absl::IsDataLoss(status)) damage = last;
      retry |= IsTransient(status);
    }
  }
  return damage.ok() ? last : damage;
}

}  // namespace reckon
