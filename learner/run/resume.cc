#include "learner/run/resume.h"

#include <ATen/ops/from_blob.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
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
    const uint64_t version = checkpoint.cursor.adapted_version();
    RETURN_IF_ERROR(LoadVersion(run, parallel, version));
    AttachAdapters(run, version);
  }
  NamedTensors parameters = AllParameters(run);
  bool same = parameters.size() == checkpoint.parameters.size();
  for (size_t i = 0; same && i < parameters.size(); ++i) {
    same = parameters[i].first == checkpoint.parameters[i].first &&
           parameters[i].second.numel() ==
               static_cast<int64_t>(checkpoint.parameters[i].second.size());
  }
  if (!same) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint ", checkpoint.path,
                     " holds the parameters of another model than model.path and the stage's "
                     "settings name; resume with the config that the run began with"));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<float>& from = checkpoint.parameters[i].second;
    at::Tensor to = parameters[i].second.detach();
    to.copy_(at::from_blob(const_cast<float*>(from.data()), to.sizes(), at::kFloat));
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
  if (!moments.has_value() || moments->first.size() != update->moments().first.size()) {
    return absl::DataLossError(
        absl::StrCat("checkpoint ", run.resume->path,
                     " lacks the optimizer's moments; delete it to resume from an older one"));
  }
  update->moments() = *std::move(moments);
  run.resume.reset();
  return update;
}

absl::Status SaveRun(LeaderContext& leader, const AdamMoments* moments) {
  const TimedScope scope(LearnerMetrics::kCheckpoint,
                         &LearnerMetrics::Process().checkpoint_seconds);
  RunState& run = leader.run;
  RETURN_IF_ERROR(leader.membership.Check());
  RETURN_IF_ERROR(KeepPublished(leader));
  run.cursor.set_step(run.reporter->step());
  const std::vector<std::string> lines = run.reporter->lines();
  run.cursor.mutable_lines()->Assign(lines.begin(), lines.end());
  NamedTensors parameters = AllParameters(run);
  std::vector<std::pair<std::string, absl::Span<const float>>> values;
  for (auto& [name, tensor] : parameters) {
    tensor = tensor.detach().to(at::kCPU);
    values.emplace_back(name, absl::MakeConstSpan(tensor.const_data_ptr<float>(), tensor.numel()));
  }
  RETURN_IF_ERROR(SaveCheckpoint(run.run_dir, run.cursor, values, moments,
                                 static_cast<int>(run.config.keep_last())));
  for (const auto& [plan, last_batch] : std::exchange(leader.uncovered_plans, {})) {
    RETURN_IF_ERROR(leader.plans.MarkDurable(plan, last_batch));
  }
  return absl::OkStatus();
}

}  // namespace reckon
