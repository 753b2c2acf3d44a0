#ifndef RECKON_COORDINATOR_SERVICE_READ_STREAMS_H_
#define RECKON_COORDINATOR_SERVICE_READ_STREAMS_H_

#include "coordinator/store/store.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// What only reads the store.

// Adds the plans that the core has no longer, in the order of names. DATA_LOSS: a damaged record.
absl::Status AddFinishedPlans(const Store& store, GetStatusReply* reply);

// Streams that only read the store, two megabytes a reply. They need neither the core nor its lock,
// because clients learn of a rollout or selection only when it is durable. A reactor deletes itself
// when its stream is done; `store` outlives the server.

// FetchRollouts: the stored bytes, not parsed. NOT_FOUND names the first rollout that is not stored
// (or evicted); replies before it were sent.
grpc::ServerWriteReactor<FetchRolloutsReply>* NewFetchStream(const Store* store,
                                                             const FetchRolloutsRequest& request);
// GetSelection: the keys in order. NOT_FOUND when there is no such selection.
grpc::ServerWriteReactor<GetSelectionReply>* NewSelectionStream(const Store* store,
                                                                const std::string& name);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_READ_STREAMS_H_
