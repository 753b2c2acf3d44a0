#ifndef RECKON_COORDINATOR_CORE_SUBMISSION_H_
#define RECKON_COORDINATOR_CORE_SUBMISSION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/core/core_state.h"
#include "coordinator/core/reads.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A rollout that has arrived, and what follows from its bytes alone. Parse runs without the core's
// lock, and once; the bytes are stored as they came. May be used again for the next rollout, and
// then needs no new memory for its tokens.
struct Submission {
  void Parse();

  std::string actor;
  SubmitRequest::LeasedRollout leased;
  Rollout rollout;        // this and the following by Parse
  absl::Status readable;  // INVALID_ARGUMENT: no rollout, or one that is too large
  SampleState sample;     // as accepted
  uint32_t sampled_tokens = 0;
};

// Answers a submission that was parsed, and takes its bytes when it is accepted. The
// acknowledgement is
//   REJECTED    the rollout is not one that its lease could have produced; the message says why
//   DUPLICATE   the sample was accepted before, here or by another actor. A difference between the
//               two at the same weight version is an error and counted as `mismatched`, because a
//               rollout is a function of its key, version and sampling parameters
//   LATE        the sample is no longer wanted: its group was set aside, or it was evicted
//   ACCEPTED    stored; also when its lease has expired and no other actor was faster
// and may leave once everything before it is durable. Changes the received counts of the ledger in
// every case, and nothing else unless ACCEPTED. Means nothing while `reads` wants a record.
SubmitReply::Ack SubmitRollout(CoreState& state, Submission& submission, absl::Time now,
                               Reads& reads);

// What the coordinator remembers of an accepted rollout.
SampleState AcceptedSample(const Rollout& rollout);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_SUBMISSION_H_
