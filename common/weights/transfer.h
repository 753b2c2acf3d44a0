#ifndef RECKON_COMMON_WEIGHTS_TRANSFER_H_
#define RECKON_COMMON_WEIGHTS_TRANSFER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/stop_token.h"
#include "common/weights/model_folder.h"
#include "proto/weights.pb.h"

namespace reckon {

// Serves weight versions over the WeightSource service on its own port. Owns the server; holds each
// version until Drop. Thread-safe.
class WeightServer {
 public:
  // `listen`: "host:0" takes any free port.
  static absl::StatusOr<std::unique_ptr<WeightServer>> Start(const std::string& listen);
  virtual ~WeightServer() = default;
  virtual std::string address() const = 0;  // host:port to put into a manifest's sources
  virtual void Add(uint64_t version, Weights weights) = 0;
  virtual void Drop(uint64_t version) = 0;
};

// Fetches all chunks of a manifest from its sources (tries each in turn, resumes at the missing
// chunk), checks every digest, and returns the buffer. DATA_LOSS: a source sent damaged bytes and
// no other had good ones. Nothing is returned unless every byte is verified.
absl::StatusOr<Weights> FetchWeights(const WeightManifest& manifest, const StopToken* stop);

}  // namespace reckon

#endif  // RECKON_COMMON_WEIGHTS_TRANSFER_H_
