#ifndef RECKON_COORDINATOR_SERVICE_READ_STREAMS_H_
#define RECKON_COORDINATOR_SERVICE_READ_STREAMS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/store/store.h"
#include "grpcpp/grpcpp.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// What only reads the store.

using PlanStatuses = std::map<std::string, PlanStatus>;  // by name, with their specs

// All plans, finished or not, as they were stored. DATA_LOSS: a damaged record.
absl::StatusOr<PlanStatuses> ReadPlans(const Store& store);
// Adds those that the core has no longer, in the order of names.
void AddFinishedPlans(PlanStatuses stored, GetStatusReply* reply);

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
