#ifndef RECKON_LEARNER_PUBLISH_PUBLISHER_H_
#define RECKON_LEARNER_PUBLISH_PUBLISHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "common/model/transfer/server.h"
#include "common/telemetry/registry.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Rank 0's source of weight versions for the actors. Publish makes a version available in this
// order:
//
//   1. the WeightServer serves its chunks
//   2. the coordinator gets its manifest, which names this server, and tells the actors
//   3. versions that nobody needs any more are dropped
//
// A version must have been read back from the folder that it was written to, not taken from the
// trained parameters: then the digests in the manifest are those of the file from which a restarted
// learner publishes the same version again, damage on disk is found before an actor samples from
// it, and the served bytes are a mapping of the file instead of one more copy in memory.
//
// Owns the server. One thread.
class Publisher {
 public:
  // Starts the server; `listen` and `announce` are those of WeightServer::Start, `on_outage` is
  // that of RetryOptions.
  using OnOutage = std::function<void(const absl::Status&)>;
  static absl::StatusOr<std::unique_ptr<Publisher>> Start(
      const std::string& listen, const std::string& announce,
      const std::shared_ptr<const Security>& security, Coordinator::StubInterface* stub,
      uint64_t term, std::stop_token stop, OnOutage on_outage = nullptr);

  // Publishes `weights` as `version`; then stops serving all but the newest two, which actors may
  // still fetch, and version 0, from which every run can start again. Waits for the coordinator as
  // long as it is unreachable; CANCELLED when stopped.
  absl::Status Publish(uint64_t version, Weights weights);

 private:
  Publisher(std::unique_ptr<WeightServer> server, Coordinator::StubInterface* stub, uint64_t term,
            std::stop_token stop, OnOutage on_outage);

  const std::unique_ptr<WeightServer> server_;
  Coordinator::StubInterface* const stub_;
  const uint64_t term_;
  const std::stop_token stop_;
  const OnOutage on_outage_;
  std::set<uint64_t> served_;  // versions
  Registry::Handle refresh_;   // counts the bytes that the server has sent
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_PUBLISHER_H_
