#include "learner/run/versions.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/model/files/adapter.h"
#include "common/model/init/init_model.h"
#include "common/model/packed_form.h"
#include "common/model/torch_status.h"
#include "learner/context/shared_device.h"
#include "learner/evaluate/evaluation_files.h"
#include "learner/evaluate/kept_versions.h"
#include "learner/parallel/shared_weights.h"
#include "learner/parallel/single.h"
#include "learner/publish/adapter_files.h"
#include "learner/publish/snapshot.h"
#include "learner/report/learner_metrics.h"
#include "learner/run/model_cards.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

std::string VersionFolder(const RunState& run, uint64_t version) {
  return absl::StrCat(run.run_dir, "/weights/", run.cursor.folders(static_cast<int>(version) - 1));
}

// A run over an adapter trains further adapters over the merged model, which is in no folder: PEFT
// stacks no adapter upon another.
constexpr char kMergedBase[] = "/weights/merged_base";

// The folder of the weights that the model's adapters are trained over; empty: it has none.
absl::StatusOr<std::string> AdaptedFolder(const RunState& run) {
  if (!run.model->adapted()) return "";
  if (run.cursor.adapted_version() > 0) return VersionFolder(run, run.cursor.adapted_version());
  std::string folder = BaseModelFolder(run.config, run.run_dir);
  if (!AdapterFolder::Is(folder)) return folder;
  folder = run.run_dir + kMergedBase;
  ASSIGN_OR_RETURN(const bool exists, PathExists(folder));
  if (exists) return folder;
  RETURN_IF_ERROR(
      WriteModelFolder(folder, run.base.manifest, run.base.bytes->bytes(), run.base.side_files));
  return folder;
}

// The name of the folder over which PEFT applies the adapter beside a version; empty: none.
std::string AdapterBase(const std::string& version_folder) {
  const std::string path = version_folder + "/adapter/adapter_config.json";
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return "";
  const absl::StatusOr<AdapterConfig> config = AdapterConfig::Parse(path, *text);
  return config.ok() ? std::filesystem::path(config->base).filename().string() : "";
}

// What the passes of the policy read, which are the weights of the version.
void AddPacked(const RunState& run, Weights* weights) {
  run.packed->EndFill();
  weights->packed = run.packed;
  PackedWeights& packed = *weights->manifest.mutable_packed();
  *packed.mutable_memory() = run.packed->where();
  packed.set_bytes(run.packed->bytes().size());
  packed.set_layout(PackedForm(run.model->compute(), run.model->backend()).Layout());
}

// How a whole version is packed.
SnapshotOptions WholeOptions(const LeaderContext& leader) {
  SnapshotOptions options;
  options.compute = leader.run.model->compute();
  options.digests = leader.publisher.digests();
  options.end_ids = leader.data.training->StopTokenIds();
  const Tokenizer& tokenizer = *leader.data.tokenizer;
  const uint32_t end = options.end_ids.front();
  const std::string spelled = tokenizer.Decode({end}, /*skip_special=*/false);
  if (tokenizer.TokenId(spelled) == end) options.end_token = spelled;
  return options;
}

// Publishes what `pack` makes as the newest version, which is not on disk yet.
absl::Status PublishPacked(LeaderContext& leader,
                           absl::FunctionRef<absl::StatusOr<Weights>()> pack) {
  const TimedScope scope(LearnerMetrics::kPublish, &LearnerMetrics::Process().publish_seconds);
  const uint64_t version = leader.run.cursor.version();
  const absl::Time begin = absl::Now();
  leader.on_disk = false;
  ASSIGN_OR_RETURN(Weights weights, pack());
  const absl::Time packed = absl::Now();
  const uint64_t bytes = weights.manifest.total_bytes();
  RETURN_IF_ERROR(leader.publisher.Publish(version, std::move(weights)));
  const absl::Time published = absl::Now();
  const double pack_s = absl::ToDoubleSeconds(packed - begin);
  const double publish_s = absl::ToDoubleSeconds(published - packed);
  const double update_s = absl::ToDoubleSeconds(published - leader.run.trained_at);
  LOG(INFO) << "weights: version " << version << ", " << bytes / 1000000 << " MB, packed in "
            << pack_s << " s, published in " << publish_s << " s, " << update_s
            << " s after its optimizer step";
  leader.run.reporter->AddToNext({{"timing_s/pack_weights", pack_s},
                                  {"timing_s/publish_weights", publish_s},
                                  {"timing_s/update_weights", update_s}});
  return absl::OkStatus();
}

// What ScaledAdapters of the model gave when the checkpoint that the run resumes from was saved.
absl::StatusOr<NamedTensors> StoredAdapters(const RunState& run) {
  const TrainingSettings& training = run.stage().training();
  const auto rank = static_cast<int64_t>(training.lora_rank());
  NamedTensors out;
  int64_t first = 0;
  for (const CheckpointManifest::Parameter& parameter : run.resume->manifest.parameters()) {
    const int64_t at = first, elements = parameter.elements();
    first += elements;
    const bool is_b = absl::StrContains(parameter.name(), ".lora_B.");
    // Not of a head beside the model.
    if (!is_b && !absl::StrContains(parameter.name(), ".lora_A.")) continue;
    at::Tensor tensor = at::empty({elements}, at::kFloat);
    RETURN_IF_ERROR(
        run.resume->Read(CheckpointArray::kParameters, at,
                         {tensor.mutable_data_ptr<float>(), static_cast<size_t>(elements)}));
    tensor = is_b ? tensor.view({elements / rank, rank}).mul_(training.lora_alpha() / rank)
                  : tensor.view({rank, elements / rank});
    out.emplace_back(parameter.name(), tensor);
  }
  return out;
}

}  // namespace

absl::StatusOr<Weights> OpenVersion(const RunState& run, Parallel& parallel, uint64_t version) {
  if (version == 0) return run.base;
  Weights weights;
  if (parallel.rank() == 0) {
    if (run.writer != nullptr) run.writer->Await();
    ASSIGN_OR_RETURN(weights, ReadModelFolder(VersionFolder(run, version)));
  }
  RETURN_IF_ERROR(ShareWeights(parallel, {}, &weights));
  return weights;
}

absl::Status LoadVersion(RunState& run, Parallel& parallel, uint64_t version) {
  CheckHasDevice(run);
  ASSIGN_OR_RETURN(const Weights weights, OpenVersion(run, parallel, version));
  run.cursor.clear_adapted_version();
  RETURN_IF_ERROR(run.model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true));
  if (version == run.cursor.version()) SharesVersion(run);
  return absl::OkStatus();
}

absl::Status LoadForStage(RunState& run, Parallel& parallel, uint64_t version) {
  const TrainingSettings& training = run.stage().training();
  if (training.lora_rank() == 0) return LoadVersion(run, parallel, version);
  CheckHasDevice(run);
  ASSIGN_OR_RETURN(const Weights weights, OpenVersion(run, parallel, version));
  RETURN_IF_ERROR(run.model->LoadUnderAdapters(
      weights.manifest, weights.bytes->bytes(), training.lora_rank(), training.lora_alpha(),
      StreamKey(run.config.seed(), "lora/" + RoundName(run))));
  run.cursor.set_adapted_version(version);
  return absl::OkStatus();
}

absl::Status ContinueFromNewest(RunState& run, Parallel& parallel) {
  // Adapters of the round before were merged into the version that was written; new ones are
  // attached to that.
  const bool adapts = run.stage().training().lora_rank() > 0;
  if (!adapts && !run.model->adapted()) return absl::OkStatus();
  return LoadForStage(run, parallel, run.cursor.version());
}

NamedTensors WeightsForLeader(RankContext& ranks) {
  bool on_device = HasDevice(ranks.run);
  if (ranks.run.model->sharded()) {
    // Ranks gather a shard where all of them do. Asked by those that gather nothing as well.
    const absl::StatusOr<bool> all = AllHaveDevices(ranks);
    ThrowIfError(all.status());
    on_device = *all;
  }
  if (!HelpsWithWholeModel(ranks)) return {};
  if (on_device) CheckHasDevice(ranks.run);
  return ranks.run.model->MergedWeights(/*on_host=*/!on_device);
}

absl::Status PrepareVersions(LeaderContext& leader, int64_t rounds, bool as_adapters) {
  const RunState& run = leader.run;
  const Dtype compute = run.model->compute();
  const auto count = static_cast<size_t>(std::clamp<int64_t>(rounds, 0, VersionBuffers::kUsed));
  if (as_adapters) {
    ASSIGN_OR_RETURN(const uint64_t bytes, AdapterBytes(run.model->ScaledAdapters(), compute));
    leader.publisher.buffers().Prepare(bytes, count);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const uint64_t bytes, SnapshotBytes(run.base, compute));
  leader.publisher.buffers().Prepare(bytes, count);
  // Over weights with adapters actors load packed ones of their own.
  if (run.packed != nullptr && run.stage().training().lora_rank() == 0) {
    leader.publisher.packed_buffers().Prepare(run.packed->bytes().size(), count);
  }
  return absl::OkStatus();
}

absl::Status PublishPolicy(LeaderContext& leader, const NamedTensors& merged) {
  return PublishPacked(leader, [&]() -> absl::StatusOr<Weights> {
    ASSIGN_OR_RETURN(leader.unwritten, TakeSnapshot(leader.run.base, merged, WholeOptions(leader),
                                                    &leader.publisher.buffers()));
    Weights weights = *leader.unwritten;
    if (leader.run.packed != nullptr && !leader.run.model->adapted()) {
      AddPacked(leader.run, &weights);
    }
    return weights;
  });
}

absl::Status PublishAdapters(LeaderContext& leader) {
  CheckHasDevice(leader.run);
  leader.unwritten.reset();
  return PublishPacked(leader, [&] {
    const RunState& run = leader.run;
    return TakeAdapters(run.cursor.adapted_version(), run.model->ScaledAdapters(),
                        {.compute = run.model->compute(), .digests = leader.publisher.digests()},
                        &leader.publisher.buffers());
  });
}

absl::Status PublishStored(LeaderContext& leader, bool as_adapters) {
  const Cursor& cursor = leader.run.cursor;
  const auto publish_whole = [&](uint64_t version) -> absl::Status {
    ASSIGN_OR_RETURN(Weights weights, OpenVersion(leader.run, *MakeSingle(), version));
    return leader.publisher.Publish(version, std::move(weights));
  };
  if (!as_adapters) return publish_whole(cursor.version());
  RETURN_IF_ERROR(publish_whole(cursor.adapted_version()));
  ASSIGN_OR_RETURN(const NamedTensors adapters, StoredAdapters(leader.run));
  ASSIGN_OR_RETURN(Weights weights, TakeAdapters(cursor.adapted_version(), adapters,
                                                 {.compute = ComputeType(leader.run.config),
                                                  .digests = leader.publisher.digests()},
                                                 &leader.publisher.buffers()));
  return leader.publisher.Publish(cursor.version(), std::move(weights));
}

absl::StatusOr<std::function<absl::Status()>> KeepPublished(LeaderContext& leader,
                                                            const NamedTensors& merged) {
  if (leader.on_disk) return [] { return absl::OkStatus(); };
  RunState& run = leader.run;
  if (!leader.unwritten.has_value()) {
    VersionBuffers buffer;
    ASSIGN_OR_RETURN(leader.unwritten,
                     TakeSnapshot(run.base, merged, WholeOptions(leader), &buffer));
  }
  Weights& weights = *leader.unwritten;
  ASSIGN_OR_RETURN(const std::string base, AdaptedFolder(run));
  if (!base.empty()) {
    const TrainingSettings& training = run.stage().training();
    weights.side_files.merge(
        AdapterFiles(base, training.lora_rank(), training.lora_alpha(), run.model->Parameters()));
  }
  AddModelCards(leader, ModelCard::Kind::kModel,
                run.cursor.folders(static_cast<int>(run.cursor.version()) - 1),
                &weights.side_files);
  leader.on_disk = true;
  return [folder = VersionFolder(run, run.cursor.version()),
          weights = *std::exchange(leader.unwritten, std::nullopt)] {
    const absl::Time begin = absl::Now();
    RETURN_IF_ERROR(
        WriteModelFolder(folder, weights.manifest, weights.bytes->bytes(), weights.side_files));
    LearnerMetrics::Process().write_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
    return absl::OkStatus();
  };
}

absl::Status KeepEvaluated(LeaderContext& leader) {
  RunState& run = leader.run;
  if (run.config.keep_evaluated() == RunConfig::NONE) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<Evaluation> evaluations, ReadEvaluations(run.run_dir));
  leader.kept_versions = KeptVersions(run.config, evaluations);
  if (run.config.keep_evaluated() != RunConfig::BEST || leader.kept_versions.empty()) {
    return absl::OkStatus();
  }
  const uint64_t best = *leader.kept_versions.begin();
  if (best > run.cursor.version()) return absl::OkStatus();  // the run went back before it
  const absl::Status linked = LinkBest(
      run.run_dir, best == 0 ? BaseModelFolder(run.config, run.run_dir)
                             : absl::StrCat("weights/", run.cursor.folders(int(best) - 1)));
  // The folder is kept all the same. A copy of a run may have a folder in the place of the link.
  if (!linked.ok()) LOG(WARNING) << linked.message();
  return absl::OkStatus();
}

void DropOldFolders(LeaderContext& leader) {
  const Cursor &cursor = leader.run.cursor, &saved = leader.run.saved;
  const uint64_t keep = std::max<uint64_t>(1, leader.run.config.keep_last());
  const auto name = [&](uint64_t version) {
    return std::filesystem::path(VersionFolder(leader.run, version)).filename().string();
  };
  std::error_code error;  // what cannot be seen or deleted costs space and nothing else
  std::vector<uint64_t> dropped;
  std::set<std::string> adapted;  // names of the folders that adapters are trained over
  for (uint64_t version : {cursor.adapted_version(), saved.adapted_version()}) {
    if (version > 0) adapted.insert(name(version));
  }
  uint64_t newest = 0;
  for (uint64_t version = cursor.version(); version > 0; --version) {
    if (!std::filesystem::exists(VersionFolder(leader.run, version), error)) continue;
    if (newest++ < keep || leader.kept_versions.contains(version) ||
        version == cursor.stage_version() || version == saved.stage_version() ||
        version == saved.version()) {
      adapted.insert(AdapterBase(VersionFolder(leader.run, version)));
    } else {
      dropped.push_back(version);
    }
  }
  for (uint64_t version : dropped) {
    std::filesystem::path folder = VersionFolder(leader.run, version);
    // As a base its own adapter, whose base may be gone, is not needed.
    if (adapted.contains(name(version))) folder /= "adapter";
    std::filesystem::remove_all(folder, error);
  }
}

}  // namespace reckon
