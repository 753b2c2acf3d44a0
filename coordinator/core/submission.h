#ifndef RECKON_COORDINATOR_CORE_SUBMISSION_H_
#define RECKON_COORDINATOR_CORE_SUBMISSION_H_

#include "absl/time/time.h"
#include "coordinator/core/core_state.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A rollout arrives. Its bytes are parsed once, to check them, and stored as they came. The
// acknowledgement is
//   REJECTED    the rollout is not one that its lease could have produced; the message says why
//   DUPLICATE   the sample was accepted before, here or by another actor. A difference between the
//               two at the same weight version is an error and counted as `mismatched`, because a
//               rollout is a function of its key, version and sampling parameters
//   LATE        the sample is no longer wanted: its group was set aside, or it was evicted
//   ACCEPTED    stored; also when its lease has expired and no other actor was faster
// and may leave once everything before it is durable. Changes the received counts of the ledger in
// every case, and nothing else unless ACCEPTED.
SubmitReply::Ack SubmitRollout(CoreState& state, SubmitRequest request, absl::Time now);

// What the coordinator remembers of an accepted rollout.
SampleState AcceptedSample(const Rollout& rollout);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_SUBMISSION_H_
