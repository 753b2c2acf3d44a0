#ifndef RECKON_LEARNER_COORDINATOR_CALL_H_
#define RECKON_LEARNER_COORDINATOR_CALL_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/stop_token.h"
#include "grpcpp/grpcpp.h"

namespace reckon {

// An idempotent call to the coordinator, repeated with a growing pause while it is away (it may be
// restarting), for at most `patience`. CANCELLED when stopped; other errors come back at once.
absl::Status CallWithRetry(const StopToken* stop, absl::Duration patience,
                           const std::function<grpc::Status(grpc::ClientContext*)>& call);

}  // namespace reckon

#endif  // RECKON_LEARNER_COORDINATOR_CALL_H_
