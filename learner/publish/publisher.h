#ifndef RECKON_LEARNER_PUBLISH_PUBLISHER_H_
#define RECKON_LEARNER_PUBLISH_PUBLISHER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/server.h"
#include "common/telemetry/registry.h"
#include "learner/publish/broadcaster.h"
#include "learner/publish/version_buffers.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Rank 0's source of weight versions for the actors. Publish makes a version available in this
// order:
//
//   1. the WeightServer serves its chunks
//   2. the coordinator gets its manifest, which names this server, and tells the actors
//   3. versions that nobody needs any more are dropped
//
// A version is published from memory (snapshot.h). Its digests are of what was packed, so damage
// after that is found by whoever reads it: by actors, which check every chunk, and by a reader of
// the folder that the same bytes may be written to. A checkpoint has digests of its own, and the
// folder of its version, from which a restarted learner publishes the same bytes again.
//
// Actors on this host map the memory itself (common/model/files/weight_bytes.h), so a version is
// in the manifest in two forms: the server's address, and where the memory is; or in three, with
// what the learner's own passes read of it (Weights::packed). With a broadcaster, actors on the
// learner's fabric join its broadcast at the server's address.
//
// Owns the server, the broadcaster and the buffers. One thread.
class Publisher {
 public:
  // Starts the server; `listen` and `announce` are those of WeightServer::Start, `on_outage` is
  // that of RetryOptions; `broadcaster` null: versions are not broadcast.
  using OnOutage = std::function<void(const absl::Status&)>;
  static absl::StatusOr<std::unique_ptr<Publisher>> Start(
      const std::string& listen, const std::string& announce,
      const std::shared_ptr<const Security>& security, Coordinator::StubInterface* stub,
      uint64_t term, std::stop_token stop, OnOutage on_outage = nullptr,
      std::unique_ptr<Broadcaster> broadcaster = nullptr);
  ~Publisher();

  // What versions are packed into, and the digests that they need: where the server listens on
  // loopback alone, no other host can be a source.
  VersionBuffers& buffers() { return buffers_; }
  VersionBuffers& packed_buffers() { return packed_buffers_; }
  // No other host can be an actor's.
  bool local() const { return digests_ == DigestKind::kXxh3; }
  DigestKind digests() const { return digests_; }

  // Publishes `weights` as `version`; then stops serving all but the newest two, which actors may
  // still fetch, those that these are adapters over, and version 0, from which every run can start
  // again. Waits for the coordinator as
  // long as it is unreachable; CANCELLED when stopped.
  absl::Status Publish(uint64_t version, Weights weights);

 private:
  Publisher(std::unique_ptr<Broadcaster> broadcaster, std::unique_ptr<WeightServer> server,
            DigestKind digests, Coordinator::StubInterface* stub, uint64_t term,
            std::stop_token stop, OnOutage on_outage);

  VersionBuffers buffers_, packed_buffers_;
  std::shared_ptr<WeightBytes> newest_packed_;
  const std::unique_ptr<Broadcaster> broadcaster_;  // before the server, which calls it
  const std::unique_ptr<WeightServer> server_;
  const DigestKind digests_;
  Coordinator::StubInterface* const stub_;
  const uint64_t term_;
  const std::stop_token stop_;
  const OnOutage on_outage_;
  std::string sent_texts_;               // digest of the texts that the coordinator was sent last
  std::map<uint64_t, uint64_t> served_;  // versions, each with its base or, if whole, itself
  Registry::Handle refresh_;             // counts the bytes that the server has sent
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_PUBLISHER_H_
