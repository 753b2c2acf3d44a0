#ifndef RECKON_COMMON_NET_RETRY_H_
#define RECKON_COMMON_NET_RETRY_H_

#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/stop.h"
#include "grpcpp/grpcpp.h"

namespace reckon {

// The one policy for calls to a process that may be away: not started yet, restarting, or slow.
//
//   attempt --OK or a permanent error--> return it
//      |
//      +--transient error--> wait 50 ms, 100 ms, ... 2 s, 2 s --> attempt again
//
// A call that is repeated must be idempotent. Every call of proto/coordinator.proto is, so a client
// that retries survives any restart of the coordinator. A stop request cancels the attempt that
// runs and ends a wait at once.

// True when the same call may succeed later:
//   UNAVAILABLE        the peer is unreachable or restarting
//   DEADLINE_EXCEEDED  the peer did not answer within the deadline of the attempt
//   CANCELLED          the peer stopped gracefully and ended the calls that were open
// A call that our own side cancelled is CANCELLED too. Only a stop does that, and the functions
// below check for a stop before they retry.
bool IsTransient(const absl::Status& status);

// The waits between the attempts of one outage. Not thread-safe.
class Backoff {
 public:
  // How long to wait before the next attempt.
  absl::Duration Next();
  // True until the first Next after a Reset. The first failure of an outage is worth a line in the
  // log, the hundredth is not.
  bool first() const { return next_ == kShortest; }
  // Call it after a success.
  void Reset() { next_ = kShortest; }

 private:
  static constexpr absl::Duration kShortest = absl::Milliseconds(50);
  static constexpr absl::Duration kLongest = absl::Seconds(2);
  absl::Duration next_ = kShortest;
};

// Starts a call with the given context and blocks until it ends. It may run more than once.
using RpcCall = absl::FunctionRef<grpc::Status(grpc::ClientContext*)>;

// Makes one attempt with a deadline of `timeout`. Returns CANCELLED "stopped" when a stop was
// requested before the attempt succeeded or failed for good.
absl::Status CallOnce(const std::stop_token& stop, absl::Duration timeout, RpcCall call);

struct RetryOptions {
  // Deadline of each attempt. It must be longer than the call may wait at the server (wait_ms).
  absl::Duration attempt_timeout = absl::Seconds(15);
  // No attempt is started this long after the first one. Infinite: retry until stopped.
  absl::Duration patience = absl::InfiniteDuration();
  // Called with the first transient error of the call, and with OK when it is answered after one:
  // lets a run say what it waits for. Null: nobody is told.
  std::function<void(const absl::Status&)> on_outage = nullptr;
};

// Repeats `call` until it succeeds or fails for good. Returns the last transient error when the
// patience is over, and CANCELLED "stopped" after a stop request.
absl::Status CallWithRetry(const std::stop_token& stop, const RetryOptions& options, RpcCall call);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_RETRY_H_
