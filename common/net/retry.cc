#include "common/net/retry.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

absl::Duration Backoff::Next() {
  const absl::Duration wait = next_;
  next_ = std::min(2 * next_, kLongest);
  return wait;
}

absl::Status CallOnce(const std::stop_token& stop, absl::Duration timeout, RpcCall call) {
  grpc::ClientContext context;
  SetDeadline(&context, timeout);
  absl::Status status;
  {
    // gRPC accepts TryCancel before, during and after the call.
    const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    status = FromGrpc(call(&context));
  }
  // A result that arrived in spite of the stop counts; an error that the stop may have caused does
  // not.
  if (IsTransient(status) && stop.stop_requested()) return absl::CancelledError("stopped");
  return status;
}

absl::Status CallWithRetry(const std::stop_token& stop, const RetryOptions& options, RpcCall call) {
  const absl::Time give_up = absl::Now() + options.patience;
  Backoff backoff;
  while (!stop.stop_requested()) {
    const absl::Status status = CallOnce(stop, options.attempt_timeout, call);
    if (!IsTransient(status)) {
      if (options.on_outage && !backoff.first()) options.on_outage(absl::OkStatus());
      return status;
    }
    if (options.on_outage && backoff.first() && !stop.stop_requested()) options.on_outage(status);
    if (absl::Now() > give_up) {
      return absl::Status(status.code(), absl::StrCat(status.message(), " (gave up after ",
                                                      absl::FormatDuration(options.patience), ")"));
    }
    WaitForStop(stop, backoff.Next());
  }
  return absl::CancelledError("stopped");
}

}  // namespace reckon
