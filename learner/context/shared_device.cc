#include "learner/context/shared_device.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
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

constexpr char kWaitsForActor[] = "an actor, which finishes its samples on the shared device";
// Ranks that wait for their turns tell each other so often who has one, and who is stopped.
constexpr absl::Duration kAgree = absl::Seconds(1);

// Before anything is written on the device: should this process die, no actor takes it for a
// version.
absl::Status ForgetLeft(RunState& run) { return run.turn->Leave(""); }

// Takes the turn or a place in line, and waits for it for a while.
absl::Status TakeSoon(RunState& run) {
  const absl::Time end = absl::Now() + kAgree;
  while (!run.turn->TryTake()) {
    if (absl::Now() > end || WaitForStop(run.stop, DeviceTurn::kPoll)) return absl::OkStatus();
  }
  return ForgetLeft(run);
}

}  // namespace

absl::Status TakeDevice(RunState& run) {
  if (HasDevice(run)) return absl::OkStatus();
  const ActivityScope wait(&LearnerMetrics::Process().activity, LearnerMetrics::kWaitTurn);
  bool told = false;
  RETURN_IF_ERROR(run.turn->Take(run.stop, [&] {
    run.reporter->SetWaitingFor(kWaitsForActor);
    told = true;
  }));
  if (told) run.reporter->SetWaitingFor("");
  return ForgetLeft(run);
}

absl::Status LeaveDevice(RunState& run) {
  if (run.turn == nullptr || !run.turn->held()) return absl::OkStatus();
  if (run.model == nullptr) {  // a start that is stopped
    run.turn->Release();
    return absl::OkStatus();
  }
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

bool HasDevice(const RunState& run) { return run.turn == nullptr || run.turn->held(); }

void CheckHasDevice(const RunState& run) {
  CHECK(HasDevice(run)) << "the learner computes on the device in an actor's turn";
}

absl::StatusOr<bool> AllTakeDevices(RankContext& ranks) {
  RunState& run = ranks.run;
  if (!run.turns_taken) return true;
  // Until here the leader may have waited for samples, which actors draw in their turns.
  RETURN_IF_ERROR(AsLeader(ranks, true).status());
  const ActivityScope wait(&LearnerMetrics::Process().activity, LearnerMetrics::kWaitTurn);
  bool all = false, stops = false, told = false;
  while (!all && !stops) {
    if (!HasDevice(run)) RETURN_IF_ERROR(TakeSoon(run));
    ASSIGN_OR_RETURN(all, AllHaveDevices(ranks));
    if (all) break;
    ASSIGN_OR_RETURN(stops, AnyStops(ranks));
    if (run.reporter != nullptr && !std::exchange(told, true)) {
      run.reporter->SetWaitingFor(kWaitsForActor);
    }
  }
  if (told) run.reporter->SetWaitingFor("");
  if (all) return true;
  RETURN_IF_ERROR(LeaveDevice(run));
  if (run.turn != nullptr) run.turn->Release();  // a place in line
  return false;
}

absl::Status AllNeedDevices(RankContext& ranks) {
  ASSIGN_OR_RETURN(const bool all, AllTakeDevices(ranks));
  return all ? absl::OkStatus() : Stopped(ranks.run);
}

absl::Status AllLeaveDevices(RankContext& ranks, bool waits) {
  if (!ranks.run.turns_taken) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool leader_waits, AsLeader(ranks, waits));
  return leader_waits ? LeaveDevice(ranks.run) : absl::OkStatus();
}

absl::StatusOr<bool> AllHaveDevices(RankContext& ranks) {
  if (!ranks.run.turns_taken) return true;
  float without = HasDevice(ranks.run) ? 0 : 1;
  RETURN_IF_ERROR(ranks.parallel.AllReduceSum(absl::MakeSpan(&without, 1)));
  return without == 0;
}

absl::Status LeaveToLeader(RankContext& ranks) {
  return ranks.leader == nullptr ? LeaveDevice(ranks.run) : absl::OkStatus();
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
