#include "learner/context/context.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "learner/parallel/c10d_work.h"

namespace reckon {

std::string RoundTitle(const RunState& run) {
  if (run.round_word.empty()) return run.stage().name();
  return absl::StrCat(run.stage().name(), " ", run.round_word, " ", run.cursor.round() + 1);
}

std::string RoundName(const RunState& run) {
  return absl::StrReplaceAll(RoundTitle(run), {{" ", "_"}});
}

Dtype ComputeType(const RunConfig& config) {
  return config.model().compute() == ModelSettings::FP32 ? Dtype::kFp32 : Dtype::kBf16;
}

TrainedTensors AllTrained(const RunState& run) {
  TrainedTensors all = run.model->Trained();
  all.insert(all.end(), run.extra.begin(), run.extra.end());
  return all;
}

absl::Status TellDurable(LeaderContext& leader) {
  if (!leader.run.writer->idle()) return absl::OkStatus();
  for (const auto& [plan, last_batch] : std::exchange(leader.covered_plans, {})) {
    RETURN_IF_ERROR(leader.plans.MarkDurable(plan, last_batch));
  }
  return absl::OkStatus();
}

bool HelpsWithWholeModel(const RankContext& ranks) {
  if (ranks.leader != nullptr) return true;
  const Transformer& model = *ranks.run.model;
  return model.sharded() && ranks.parallel.rank() < model.memory().shard_group->world();
}

absl::StatusOr<bool> AsLeader(RankContext& ranks, bool decision) {
  char byte = decision ? 1 : 0;
  RETURN_IF_ERROR(ranks.parallel.Broadcast(absl::MakeSpan(&byte, 1)));
  return byte != 0;
}

absl::StatusOr<bool> AnyStops(RankContext& ranks) {
  float stops = ranks.run.stop.stop_requested() ? 1 : 0;
  RETURN_IF_ERROR(ranks.parallel.AllReduceSum(absl::MakeSpan(&stops, 1)));
  return stops > 0;
}

absl::Status Stopped(const RunState& run) {
  if (run.stop.stop_requested()) return absl::CancelledError("stopped");
  return CatchCollectiveErrors(
      "learner", [] { return absl::UnavailableError("another rank has been stopped"); });
}

}  // namespace reckon
