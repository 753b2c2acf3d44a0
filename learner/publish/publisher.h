#ifndef RECKON_LEARNER_PUBLISH_PUBLISHER_H_
#define RECKON_LEARNER_PUBLISH_PUBLISHER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/stop_token.h"
#include "common/weights/transfer.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Rank 0's source of weight versions: serves them to actors and names them to the coordinator.
// Every version is served from the folder it was written to, so what actors get is what is on disk.
// Owns the server; one thread.
class Publisher {
 public:
  static absl::StatusOr<std::unique_ptr<Publisher>> Start(const std::string& listen,
                                                          Coordinator::StubInterface* stub,
                                                          uint64_t epoch, const StopToken* stop);

  // Serves and publishes `weights` as `version`; stops serving all but the newest two and the base,
  // version 0.
  absl::Status Publish(uint64_t version, Weights weights);

 private:
  Publisher(std::unique_ptr<WeightServer> server, Coordinator::StubInterface* stub, uint64_t epoch,
            const StopToken* stop);

  const std::unique_ptr<WeightServer> server_;
  Coordinator::StubInterface* const stub_;
  const uint64_t epoch_;
  const StopToken* const stop_;
  std::set<uint64_t> served_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_PUBLISHER_H_
