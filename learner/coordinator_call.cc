#include "learner/coordinator_call.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {

absl::Status CallWithRetry(const StopToken* stop, absl::Duration patience,
                           const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  constexpr absl::Duration kDeadline = absl::Seconds(15), kLongestPause = absl::Seconds(2);
  absl::Time end = absl::Now() + patience;
  absl::Duration pause = absl::Milliseconds(50);
  while (true) {
    if (stop->stopped()) return absl::CancelledError("stopped");
    grpc::ClientContext context;
    SetDeadline(&context, kDeadline);
    absl::Status status = FromGrpc(call(&context));
    if (status.ok() || !IsTransient(status)) return status;
    if (absl::Now() > end) {
      return absl::Status(status.code(), absl::StrCat("coordinator: ", status.message()));
    }
    if (stop->WaitFor(pause)) return absl::CancelledError("stopped");
    pause = std::min(pause * 2, kLongestPause);
  }
}

}  // namespace reckon
