#ifndef RECKON_COORDINATOR_SERVICE_SUBMIT_LIMITS_H_
#define RECKON_COORDINATOR_SERVICE_SUBMIT_LIMITS_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

// Bounds of what actors can make the coordinator hold. An actor needs one stream; while a
// connection that was cut is not noticed yet, there may be an old one beside it.
inline constexpr int kStreamsPerActor = 4;
inline constexpr int kStreams = 4096;

// Counts the open Submit streams, in all and by the name of the actor. A name is known from the
// first message of a stream. Owned by CoordinatorService; thread-safe.
class SubmitLimits {
 public:
  // A stream begins. RESOURCE_EXHAUSTED: kStreams are open; there is nothing to close then.
  absl::Status Open();
  // Its first message has come. INVALID_ARGUMENT: the actor has no name. RESOURCE_EXHAUSTED:
  // kStreamsPerActor of this actor are open.
  absl::Status Enter(const std::string& actor);
  // It ends. `actor`: as given to a call of Enter that succeeded; empty: there was none.
  void Close(const std::string& actor);

 private:
  absl::Mutex mu_;
  int streams_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<std::string, int> of_actor_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_SUBMIT_LIMITS_H_
