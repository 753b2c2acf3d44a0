#ifndef RECKON_COORDINATOR_SERVICE_SUBMIT_STREAM_H_
#define RECKON_COORDINATOR_SERVICE_SUBMIT_STREAM_H_

#include "common/net/security.h"
#include "coordinator/service/committer.h"
#include "coordinator/service/submit_limits.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// How many rollouts of one stream may be read without their acknowledgement being sent. With the
// message that reaches this number the server stops reading, so that a fast actor waits instead of
// filling the coordinator's memory.
inline constexpr int kSubmitWindow = 256;
// The same in bytes: a message that reaches it is the last to be read.
inline constexpr size_t kSubmitWindowBytes = 64 << 20;

// The reactor of one Submit stream:
//
//   read rollouts -> Committer::Submit -> commit -> acknowledgements -> write
//        ^                                                              |
//        '---- while the unacknowledged ones fit into both windows <----'
//
// Acknowledgements are in the order of the rollouts. When the committer fails, the stream ends with
// its error and unsent acknowledgements are dropped: the actor sends those rollouts again.
//
// The stream reads no more, acknowledges what it has read, and ends with
//   UNAVAILABLE         authorities or tokens of `security` have changed since it began: the actor
//                       opens another, if it is still a member of the run
//   RESOURCE_EXHAUSTED  a limit of submit_limits.h
//   INVALID_ARGUMENT    a message of another actor than the first, or of more than kSubmitWindow
//                       rollouts
//
// The reactor deletes itself when the stream is done; `committer` and `limits` outlive the server.
grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* NewSubmitStream(
    Committer* committer, std::shared_ptr<const Security> security, SubmitLimits* limits);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_SUBMIT_STREAM_H_
