#ifndef RECKON_COORDINATOR_SERVICE_SUBMIT_STREAM_H_
#define RECKON_COORDINATOR_SERVICE_SUBMIT_STREAM_H_

#include "coordinator/service/committer.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// How many rollouts of one stream may be read without their acknowledgement being sent. At this
// number the server stops reading, so that a fast actor waits instead of filling the coordinator's
// memory.
inline constexpr int kSubmitWindow = 256;

// The reactor of one Submit stream:
//
//   read a rollout -> Committer::Submit -> commit -> acknowledgement -> write
//        ^                                                               |
//        '---- while fewer than kSubmitWindow are unacknowledged <-------'
//
// Acknowledgements are in the order of the rollouts. When the committer fails, the stream ends with
// its error and unsent acknowledgements are dropped: the actor sends those rollouts again. The
// reactor deletes itself when the stream is done; `committer` outlives the server.
grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* NewSubmitStream(Committer* committer);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_SUBMIT_STREAM_H_
