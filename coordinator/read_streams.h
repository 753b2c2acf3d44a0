#ifndef RECKON_COORDINATOR_READ_STREAMS_H_
#define RECKON_COORDINATOR_READ_STREAMS_H_

#include "coordinator/store.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// Streams that read the store and nothing else, a few megabytes at a time. They delete themselves
// when done; `store` outlives the server. Only what was durable before a client could know of it
// is asked for, so neither needs the core.

// NOT_FOUND names the first rollout that is not stored.
grpc::ServerWriteReactor<FetchRolloutsReply>* NewFetchStream(const Store* store,
                                                             const FetchRolloutsRequest& request);
grpc::ServerWriteReactor<GetSelectionReply>* NewSelectionStream(const Store* store,
                                                                const std::string& name);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_READ_STREAMS_H_
