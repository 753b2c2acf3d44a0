#include "learner/context/context.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"

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

bool HelpsWithWholeModel(const RankContext& ranks) {
  return ranks.leader != nullptr || ranks.run.model->sharded();
}

absl::StatusOr<bool> AsLeader(RankContext& ranks, bool decision) {
  if (!ranks.run.model->sharded()) return decision;
  char byte = decision ? 1 : 0;
  RETURN_IF_ERROR(ranks.parallel.Broadcast(absl::MakeSpan(&byte, 1)));
  return byte != 0;
}

}  // namespace reckon
