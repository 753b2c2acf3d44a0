#include "learner/parallel/c10d_work.h"

#include <algorithm>
#include <exception>

#include "common/model/torch_status.h"

namespace reckon {
namespace {

constexpr char kCollective[] = "reckon.collective";  // payload of the errors

}  // namespace

absl::Status CatchCollectiveErrors(absl::string_view what, absl::FunctionRef<absl::Status()> body) {
  absl::Status status = CatchTorchErrors(what, body);
  // INTERNAL is what CatchTorchErrors makes of an exception of no particular type, which is how
  // Gloo reports a lost connection.
  if (absl::IsInternal(status)) status = absl::UnavailableError(status.message());
  if (!status.ok() && !absl::IsCancelled(status)) status.SetPayload(kCollective, absl::Cord());
  return status;
}

bool IsCollectiveError(const absl::Status& status) {
  return status.GetPayload(kCollective).has_value();
}

absl::Status Await(const c10::intrusive_ptr<c10d::Work>& work, const std::stop_token& stop) {
  absl::Duration pause = absl::Microseconds(50);
  while (!work->isCompleted()) {
    if (WaitForStop(stop, pause)) return absl::CancelledError("stopped");
    pause = std::min(pause * 2, absl::Milliseconds(5));
  }
  // NCCL's wait() does not throw: it only orders streams, and its isCompleted() is true of a
  // collective that has failed.
  if (const std::exception_ptr error = work->exception()) std::rethrow_exception(error);
  work->wait();
  return absl::OkStatus();
}

}  // namespace reckon
