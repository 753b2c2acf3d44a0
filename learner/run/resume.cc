#include "learner/run/resume.h"

#include <ATen/ops/from_blob.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "learner/checkpoint/shard_parts.h"
#include "learner/checkpoint/shared_checkpoint.h"
#include "learner/report/learner_metrics.h"
#include "learner/run/versions.h"

namespace reckon {

absl::Status FindCheckpoint(RunState& run, Parallel& parallel, bool resume) {
  if (resume && parallel.rank() == 0) {
    ASSIGN_OR_RETURN(run.resume, LoadNewestCheckpoint(run.run_dir));
  }
  RETURN_IF_ERROR(ShareCheckpoint(parallel, &run.resume));
  if (!run.resume.has_value()) return absl::OkStatus();
  run.cursor = run.resume->cursor;
  if (run.cursor.stage() < run.config.stage_size()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("checkpoint ", run.resume->path, " is in stage ", run.cursor.stage() + 1,
                   ", but the config has only ", run.config.stage_size(),
                   " stages; resume with the config that the run began with"));
}

absl::Status RestoreParameters(RunState& run, Parallel& parallel) {
  Checkpoint& checkpoint = *run.resume;
  if (checkpoint.cursor.has_adapted_version()) {
    RETURN_IF_ERROR(LoadForStage(run, parallel, checkpoint.cursor.adapted_version()));
  }
  size_t next = 0;
  bool same = true;
  const TrainedTensors all = AllTrained(run);
  for (const TrainedTensor& trained : all) {
    for (const TensorShape& tensor : trained.tensors) {
      same = same && next < checkpoint.parameters.size() &&
             checkpoint.parameters[next].first == tensor.name &&
             static_cast<int64_t>(checkpoint.parameters[next].second.size()) == tensor.elements();
      ++next;
    }
  }
  if (!same || next != checkpoint.parameters.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint ", checkpoint.path,
                     " holds the parameters of another model than model.path and the stage's "
                     "settings name; resume with the config that the run began with"));
  }
  next = 0;
  for (const TrainedTensor& trained : all) {
    std::vector<float> whole;
    for (size_t i = 0; i < trained.tensors.size(); ++i) {
      const std::vector<float>& from = checkpoint.parameters[next++].second;
      whole.insert(whole.end(), from.begin(), from.end());
    }
    std::vector<float> mine(trained.values.numel());
    TakePart(trained, parallel.rank(), whole, absl::MakeSpan(mine));
    at::Tensor to = trained.values.detach();
    to.copy_(at::from_blob(mine.data(), to.sizes(), at::kFloat));
  }
  run.model->Repack();
  checkpoint.parameters.clear();  // as large as the model in fp32
  // Without moments the checkpoint has nothing more to give; in TRAIN they have to be there.
  if (run.cursor.phase() != Cursor::TRAIN && !checkpoint.moments.has_value()) run.resume.reset();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<PolicyUpdate>> MakePolicyUpdate(RankContext& ranks) {
  RunState& run = ranks.run;
  std::unique_ptr<PolicyUpdate> update =
      PolicyUpdate::Create(run.model, &ranks.parallel, run.stage().training(),
                           run.config.learner().micro_batch_tokens(), run.extra);
  if (!run.resume.has_value()) return update;
  std::optional<AdamMoments>& moments = run.resume->moments;
  const TrainedTensors all = AllTrained(run);
  int64_t elements = 0;
  for (const TrainedTensor& trained : all) elements += ElementsOf(trained);
  if (!moments.has_value() || static_cast<int64_t>(moments->first.size()) != elements) {
    return absl::DataLossError(
        absl::StrCat("checkpoint ", run.resume->path,
                     " lacks the optimizer's moments; delete it to resume from an older one"));
  }
  AdamMoments& to = update->mutable_moments();
  to.steps = moments->steps;
  int64_t from = 0, at = 0;
  for (const TrainedTensor& trained : all) {
    const int64_t whole = ElementsOf(trained), size = trained.values.numel();
    for (auto member : {&AdamMoments::first, &AdamMoments::second}) {
      TakePart(trained, ranks.parallel.rank(),
               absl::MakeConstSpan(*moments.*member).subspan(from, whole),
               absl::MakeSpan(to.*member).subspan(at, size));
    }
    from += whole;
    at += size;
  }
  run.resume.reset();
  return update;
}

absl::Status SaveRun(RankContext& ranks, const AdamMoments* moments) {
  const TimedScope scope(LearnerMetrics::kCheckpoint,
                         &LearnerMetrics::Process().checkpoint_seconds);
  RunState& run = ranks.run;
  LeaderContext* const leader = ranks.leader;
  NamedTensors merged;  // of a version that was published as adapters
  if (run.published_adapters && (run.model->sharded() || !leader->on_disk)) {
    merged = WeightsForLeader(ranks);
  }
  if (leader != nullptr) {
    RETURN_IF_ERROR(leader->membership.Check());
    RETURN_IF_ERROR(KeepPublished(*leader, merged));
    run.cursor.set_step(run.reporter->step());
    const std::vector<std::string> lines = run.reporter->lines();
    run.cursor.mutable_lines()->Assign(lines.begin(), lines.end());
  }
  // Of one rank's tensors without a copy, if they are in host memory.
  TrainedTensors all = AllTrained(run);
  std::vector<std::vector<float>> gathered(all.size());
  std::vector<std::pair<std::string, absl::Span<const float>>> values;
  AdamMoments whole_moments;
  int64_t at = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    TrainedTensor& trained = all[i];
    const int64_t size = trained.values.numel();
    trained.values = trained.values.detach().to(at::kCPU);
    absl::Span<const float> whole(trained.values.const_data_ptr<float>(), size);
    if (trained.sharded) {
      ASSIGN_OR_RETURN(gathered[i], GatherParts(ranks.parallel, trained, whole));
      whole = gathered[i];
    }
    if (moments != nullptr && run.model->sharded()) {
      whole_moments.steps = moments->steps;
      for (auto member : {&AdamMoments::first, &AdamMoments::second}) {
        ASSIGN_OR_RETURN(const std::vector<float> part,
                         GatherParts(ranks.parallel, trained,
                                     absl::MakeConstSpan(moments->*member).subspan(at, size)));
        (whole_moments.*member).insert((whole_moments.*member).end(), part.begin(), part.end());
      }
      at += size;
    }
    if (leader == nullptr) continue;
    for (const TensorShape& tensor : trained.tensors) {
      values.emplace_back(tensor.name, whole.first(tensor.elements()));
      whole.remove_prefix(tensor.elements());
    }
  }
  if (leader == nullptr) return absl::OkStatus();
  if (moments != nullptr && run.model->sharded()) moments = &whole_moments;
  RETURN_IF_ERROR(SaveCheckpoint(run.run_dir, run.cursor, values, moments,
                                 static_cast<int>(run.config.keep_last())));
  for (const auto& [plan, last_batch] : std::exchange(leader->uncovered_plans, {})) {
    RETURN_IF_ERROR(leader->plans.MarkDurable(plan, last_batch));
  }
  return absl::OkStatus();
}

}  // namespace reckon
