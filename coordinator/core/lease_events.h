#ifndef RECKON_COORDINATOR_CORE_LEASE_EVENTS_H_
#define RECKON_COORDINATOR_CORE_LEASE_EVENTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/core/core_state.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// The events of leases, which actors cause and time does. A lease ends in one of four ways:
//
//                  every sample accepted       -> fulfilled   (submission.h)
//   leased  --->   ReturnLeases without error  -> returned    its samples are leased again
//                  ReturnLeases with an error  -> failed      one more failed attempt of its
//                  samples not renewed for `lease`     -> expired     one more failed attempt of
//                  its samples
//
// A sample with max_attempts failed attempts sets its whole group aside, and with it the group's
// other leases.

// Leases samples of the first plans with work, all at one weight version: the version that the
// actor holds, if a plan has work at that version; none at the version that its report refuses.
// Keeps the report, also when the request is for no samples. No leases in the reply: no work now.
absl::StatusOr<LeaseReply> LeaseSamples(CoreState& state, const LeaseRequest& request,
                                        absl::Time now);
absl::StatusOr<RenewLeasesReply> RenewLeases(CoreState& state, const RenewLeasesRequest& request,
                                             absl::Time now);
absl::Status ReturnLeases(CoreState& state, const ReturnLeasesRequest& request, absl::Time now);
void ExpireLeases(CoreState& state, absl::Time now);
void ReleaseLeasesOfPlan(CoreState& state, const std::string& plan);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_LEASE_EVENTS_H_
