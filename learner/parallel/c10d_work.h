#ifndef RECKON_LEARNER_PARALLEL_C10D_WORK_H_
#define RECKON_LEARNER_PARALLEL_C10D_WORK_H_

#include <torch/csrc/distributed/c10d/Work.hpp>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/stop.h"

namespace reckon {

// CatchTorchErrors for calls to c10d. A broken connection is a c10::DistError from NCCL but a plain
// std::runtime_error from Gloo, so every exception is UNAVAILABLE, except that memory which runs
// out is RESOURCE_EXHAUSTED.
absl::Status CatchCollectiveErrors(absl::string_view what, absl::FunctionRef<absl::Status()> body);

// Whether a status is an error of CatchCollectiveErrors other than a stop: another rank may be its
// cause.
bool IsCollectiveError(const absl::Status& status);

// Waits for a collective. Throws its error; CANCELLED when a stop is requested first.
//
// Asks the work whether it is completed, because nothing reports that for all backends: a future of
// NCCL's completes when the operation is launched, not when it has run. The pause between two
// questions grows with the time waited, from 50 us to 5 ms, so waiting costs at most twice the
// operation's time, and 5 ms.
absl::Status Await(const c10::intrusive_ptr<c10d::Work>& work, const std::stop_token& stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_C10D_WORK_H_
