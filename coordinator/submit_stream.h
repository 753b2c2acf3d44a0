#ifndef RECKON_COORDINATOR_SUBMIT_STREAM_H_
#define RECKON_COORDINATOR_SUBMIT_STREAM_H_

#include "coordinator/committer.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Rollouts of one stream that were read and whose acknowledgement was not sent: past this the
// server stops reading, so that a fast actor waits instead of filling the coordinator's memory.
inline constexpr int kSubmitWindow = 256;

// The reactor of one Submit stream. Deletes itself when the stream is done; `committer` outlives
// the server.
grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* NewSubmitStream(Committer* committer);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SUBMIT_STREAM_H_
