#include "coordinator/service/submit_limits.h"

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"

namespace reckon {

absl::Status SubmitLimits::Open() {
  absl::MutexLock lock(&mu_);
  if (streams_ == kStreams) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kStreams, " streams of rollouts are open, which is the limit"));
  }
  ++streams_;
  return absl::OkStatus();
}

absl::Status SubmitLimits::Enter(const std::string& actor) {
  if (actor.empty()) return absl::InvalidArgumentError("the actor has no name");
  absl::MutexLock lock(&mu_);
  int& streams = of_actor_[actor];
  if (streams == kStreamsPerActor) {
    return absl::ResourceExhaustedError(
        absl::StrCat("actor '", Printable(actor), "' has ", kStreamsPerActor,
                     " streams of rollouts open, which is the limit"));
  }
  ++streams;
  return absl::OkStatus();
}

void SubmitLimits::Close(const std::string& actor) {
  absl::MutexLock lock(&mu_);
  --streams_;
  const auto found = of_actor_.find(actor);
  if (!actor.empty() && found != of_actor_.end() && --found->second == 0) of_actor_.erase(found);
}

}  // namespace reckon
