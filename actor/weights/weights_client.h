#ifndef RECKON_ACTOR_WEIGHTS_WEIGHTS_CLIENT_H_
#define RECKON_ACTOR_WEIGHTS_WEIGHTS_CLIENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/stop_token.h"
#include "common/weights/model_folder.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Follows the coordinator's manifests and fetches weights, each byte verified, while the engine
// goes on: the newest version as soon as it is published, and any that is asked for. A version that
// cannot be had whole is refused: said in the log, tried again with back-off, and, when it was
// asked for, reported after a few attempts. One thread of its own; thread-safe.
class WeightsClient {
 public:
  struct Fetched {
    uint64_t version = 0;
    absl::StatusOr<Weights> weights;
    absl::Duration took;
  };

  // `notify` is called from the client's thread when there is something to Take.
  WeightsClient(Coordinator::StubInterface* stub, std::function<void()> notify);
  ~WeightsClient();
  WeightsClient(const WeightsClient&) = delete;
  WeightsClient& operator=(const WeightsClient&) = delete;

  // Asks for this version, before all else. The answer comes through Take.
  void Want(uint64_t version);
  // A learner that was started again may publish a version number anew with other weights. True:
  // it did, so whatever is loaded is not to be used for new work; ClearStale once it is unloaded.
  bool stale();
  void ClearStale();
  // The version asked for, or else the newest that was not yet taken. At most one is kept of each.
  std::optional<Fetched> Take();

 private:
  void Loop();
  absl::StatusOr<WeightManifest> GetManifest(std::optional<uint64_t> wanted);
  std::optional<uint64_t> wanted();
  // Looks for versions published anew. They are not newer by number, so polling does not show them.
  void CheckEpoch();
  void NoteEpoch(const WeightManifest& manifest);
  // Fetches and keeps the result. False: to be tried again.
  bool Fetch(std::optional<uint64_t> wanted, int attempt);
  void Keep(Fetched fetched, bool asked_for);

  Coordinator::StubInterface* const stub_;
  const std::function<void()> notify_;
  StopToken stop_;

  absl::Mutex mu_;
  std::optional<uint64_t> wanted_ ABSL_GUARDED_BY(mu_);
  std::optional<Fetched> asked_ ABSL_GUARDED_BY(mu_);   // the answer to Want
  std::optional<Fetched> newest_ ABSL_GUARDED_BY(mu_);  // fetched ahead
  std::optional<uint64_t> newest_fetched_ ABSL_GUARDED_BY(mu_);
  bool stale_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ClientContext* poll_ ABSL_GUARDED_BY(mu_) = nullptr;

  // Of the client's thread alone.
  uint64_t checked_epoch_ = 0;     // the learner's epoch at the last check
  std::optional<uint64_t> epoch_;  // that published the newest manifest seen
  std::string newest_digests_;     // of the version in newest_fetched_

  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace reckon

#endif  // RECKON_ACTOR_WEIGHTS_WEIGHTS_CLIENT_H_
