#include "learner/algorithm/learner_context.h"

#include <ATen/ops/from_blob.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

NamedTensors AllParameters(const LearnerContext& context) {
  NamedTensors all = context.model->Parameters();
  all.insert(all.end(), context.extra.begin(), context.extra.end());
  return all;
}

}  // namespace

std::string RoundTitle(const LearnerContext& context) {
  const Stage& stage = context.stage();
  if (!stage.has_ei() && !stage.has_ppo()) return stage.name();
  return absl::StrCat(stage.name(), stage.has_ei() ? " round " : " step ",
                      context.cursor.round + 1);
}

std::string RoundName(const LearnerContext& context) {
  return absl::StrReplaceAll(RoundTitle(context), {{" ", "_"}});
}

absl::Status Save(LearnerContext& context, const AdamMoments* moments) {
  if (context.parallel->rank() != 0) return absl::OkStatus();
  context.cursor.lines = context.reporter->lines();
  NamedTensors parameters = AllParameters(context);
  std::vector<std::pair<std::string, absl::Span<const float>>> values;
  for (auto& [name, tensor] : parameters) {
    tensor = tensor.detach().to(at::kCPU);
    values.emplace_back(name, absl::MakeConstSpan(tensor.const_data_ptr<float>(), tensor.numel()));
  }
  return SaveCheckpoint(context.run_dir, context.cursor, values, moments,
                        static_cast<int>(context.config.keep_last()));
}

absl::Status Restore(LearnerContext& context) {
  const Checkpoint& checkpoint = *context.resume;
  if (const std::optional<uint64_t> version = checkpoint.cursor.adapted_version) {
    RETURN_IF_ERROR(LoadVersion(context, *version));
    Adapt(context, *version);
  }
  NamedTensors parameters = AllParameters(context);
  bool same = parameters.size() == checkpoint.parameters.size();
  for (size_t i = 0; same && i < parameters.size(); ++i) {
    same = parameters[i].first == checkpoint.parameters[i].first &&
           parameters[i].second.numel() ==
               static_cast<int64_t>(checkpoint.parameters[i].second.size());
  }
  if (!same) {
    return absl::InvalidArgumentError(absl::StrCat(
        "checkpoint ", checkpoint.path, " is of another model than model.path of the config"));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<float>& from = checkpoint.parameters[i].second;
    at::Tensor to = parameters[i].second.detach();
    to.copy_(at::from_blob(const_cast<float*>(from.data()), to.sizes(), at::kFloat));
  }
  context.model->Repack();
  return absl::OkStatus();
}

absl::StatusOr<Weights> OpenVersion(const LearnerContext& context, uint64_t version) {
  if (version == 0) return context.base;
  return ReadModelFolder(
      absl::StrCat(context.run_dir, "/weights/", context.cursor.folders[version - 1]));
}

absl::Status LoadVersion(LearnerContext& context, uint64_t version) {
  ASSIGN_OR_RETURN(const Weights weights, OpenVersion(context, version));
  context.cursor.adapted_version.reset();
  return context.model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true);
}

void Adapt(LearnerContext& context, uint64_t version) {
  const TrainingSettings& training = context.stage().training();
  if (training.lora_rank() == 0) return;
  context.model->AddAdapters(training.lora_rank(), training.lora_alpha(),
                             StreamKey(context.config.seed(), "lora/" + RoundName(context)));
  context.cursor.adapted_version = version;
}

absl::Status GoOn(LearnerContext& context) {
  if (context.model->adapted()) RETURN_IF_ERROR(LoadVersion(context, context.cursor.version));
  Adapt(context, context.cursor.version);
  return absl::OkStatus();
}

}  // namespace reckon
