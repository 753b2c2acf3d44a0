#include "learner/context/shared_device.h"

#include <memory>
#include <string>

#include "common/base/status_macros.h"
#include "common/model/device_memory.h"
#include "common/model/shared_bytes.h"
#include "common/model/torch_status.h"
#include "learner/report/learner_metrics.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// For the actors whose turn is next: empty, unless the model is a version as it was published.
std::string SharedVersion(const RunState& run) {
  const bool is_version = !run.shared_weights.handle().empty() && !run.model->adapted() &&
                          run.version_generation == run.model->weights().generation();
  return is_version ? run.shared_weights.SerializeAsString() : "";
}

}  // namespace

absl::Status TakeDevice(RunState& run) {
  if (run.turn == nullptr || run.turn->held()) return absl::OkStatus();
  const ActivityScope wait(&LearnerMetrics::Process().activity, LearnerMetrics::kWaitTurn);
  bool told = false;
  RETURN_IF_ERROR(run.turn->Take(run.stop, [&] {
    run.reporter->SetWaitingFor("an actor, which finishes its samples on the shared device");
    told = true;
  }));
  if (told) run.reporter->SetWaitingFor("");
  // Before anything is written there: should this process die, no actor takes it for a version.
  return run.turn->Leave("");
}

absl::Status LeaveDevice(RunState& run) {
  if (run.turn == nullptr || !run.turn->held()) return absl::OkStatus();
  RETURN_IF_ERROR(CatchTorchErrors("leaving the device", [&] {
    if (const std::shared_ptr<PolicyUpdate> update = run.update.lock()) update->LeaveDevice();
    FinishWork(run.model->backend());
    ReturnFreedMemory(run.model->backend());
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(run.turn->Leave(SharedVersion(run)));
  run.turn->Release();
  return absl::OkStatus();
}

absl::Status ShareModel(RunState& run) {
  const Backend backend = run.model->backend();
  if (run.turn == nullptr || backend == Backend::kCpuKernels || run.model->sharded()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<SharedBytes> memory = MakeSharedBytes(backend, run.model->packed_size());
  if (!memory.ok()) {
    LOG(WARNING) << "actors load the weights instead of sharing them: " << memory.status();
    return absl::OkStatus();
  }
  run.model->PackInto([bytes = memory->bytes](int64_t) { return bytes; });
  run.shared_weights.set_term(run.term);
  run.shared_weights.set_dtype(run.model->compute() == Dtype::kFp32 ? "F32" : "BF16");
  run.shared_weights.set_total_bytes(static_cast<uint64_t>(memory->bytes.numel()));
  run.shared_weights.set_handle(memory->handle);
  return absl::OkStatus();
}

void SharesVersion(RunState& run) {
  run.shared_weights.set_version(run.cursor.version());
  run.version_generation = run.model->weights().generation();
}

}  // namespace reckon
