#include "learner/run/resume.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "learner/checkpoint/shard_parts.h"
#include "learner/checkpoint/shared_checkpoint.h"
#include "learner/context/shared_device.h"
#include "learner/report/learner_metrics.h"
#include "learner/run/versions.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// How long the leader waits for the parts of the other ranks after its own.
constexpr absl::Duration kPartPatience = absl::Minutes(10);

// What a rank gives of the checkpoint, of one TrainedTensor after another. A copy, so that the
// parameters may change.
struct CopiedPiece {
  CheckpointPiece piece;
  std::vector<SentPart> parts;  // of each of its arrays
};

// `by_all`: the rank's share of what all ranks hold, as it writes it. Else what the leader writes:
// of shards those of this rank, if it divides them with the leader, and on the leader what is
// whole.
CopiedPiece CopyPiece(RankContext& ranks, const AdamMoments* moments, bool by_all) {
  const int rank = ranks.parallel.rank(), world = ranks.parallel.world();
  const bool sends = HelpsWithWholeModel(ranks);
  CopiedPiece out;
  out.piece.moments = moments != nullptr;
  const TrainedTensors all = AllTrained(ranks.run);
  int64_t most = 0, first = 0, at = 0;
  for (const TrainedTensor& trained : all) most += trained.values.numel();
  // A growing array exists twice while it is copied. Reserved memory takes none until it is
  // written.
  out.piece.parameters.reserve(most);
  if (moments != nullptr) {
    out.piece.first.reserve(most);
    out.piece.second.reserve(most);
  }
  for (const TrainedTensor& trained : all) {
    const at::Tensor values = trained.values.detach().to(at::kCPU);
    const int64_t held = values.numel(), elements = ElementsOf(trained);
    int64_t begin = 0, count = (trained.sharded ? sends : rank == 0) ? held : 0;
    if (by_all) {
      const CheckpointPart::Range range = WrittenRange(trained, first, rank, world);
      begin = range.begin() - HeldRange(trained, first).begin();
      count = range.end() - range.begin();
      out.piece.ranges.push_back(range);
    }
    const auto add = [&](const float* mine, std::vector<float>* to) {
      to->insert(to->end(), mine + begin, mine + begin + count);
    };
    add(values.const_data_ptr<float>(), &out.piece.parameters);
    if (moments != nullptr) {
      add(moments->first.data() + at, &out.piece.first);
      add(moments->second.data() + at, &out.piece.second);
    }
    out.parts.push_back({elements, count, trained.sharded});
    first += elements;
    at += held;
  }
  return out;
}

// What the leader writes of all ranks.
absl::StatusOr<CheckpointPiece> GatherPiece(RankGroup* senders, CopiedPiece copied) {
  CheckpointPiece& piece = copied.piece;
  for (std::vector<float>* array : {&piece.parameters, &piece.first, &piece.second}) {
    if (array != &piece.parameters && !piece.moments) break;
    ASSIGN_OR_RETURN(*array, GatherArray(senders, copied.parts, std::move(*array)));
  }
  int64_t end = 0;
  for (const SentPart& part : copied.parts) end += part.elements;
  piece.ranges.emplace_back().set_end(end);
  return std::move(piece);
}

CheckpointManifest ManifestOf(const RunState& run, const AdamMoments* moments) {
  CheckpointManifest manifest;
  *manifest.mutable_cursor() = run.cursor;
  for (const TrainedTensor& trained : AllTrained(run)) {
    for (const TensorShape& tensor : trained.tensors) {
      CheckpointManifest::Parameter* parameter = manifest.add_parameters();
      parameter->set_name(tensor.name);
      parameter->set_elements(tensor.elements());
    }
  }
  if (moments != nullptr) manifest.set_adam_steps(moments->steps);
  return manifest;
}

// Waits until the parts of ranks 1 .. parts - 1 are in the folder.
absl::Status AwaitParts(const std::string& folder, int parts, const std::stop_token& stop) {
  const absl::Time give_up = absl::Now() + kPartPatience;
  absl::Duration pause = absl::Milliseconds(2);
  for (int rank = 1; rank < parts; ++rank) {
    while (!HasPart(folder, rank)) {
      if (stop.stop_requested()) return absl::CancelledError("stopped");
      if (absl::Now() > give_up) {
        return absl::UnavailableError(absl::StrCat("rank ", rank, " has not written its part of ",
                                                   folder, " within ",
                                                   absl::FormatDuration(kPartPatience)));
      }
      absl::SleepFor(pause);
      pause = std::min(pause * 1.5, absl::Milliseconds(200));
    }
  }
  return absl::OkStatus();
}

// Fills what this rank holds of every parameter, or of a moment of it: `to(i)` is where.
absl::Status ReadHeld(const RunState& run, Parallel& parallel, CheckpointArray array,
                      const std::function<absl::Span<float>(size_t)>& to) {
  const TrainedTensors all = AllTrained(run);
  int64_t first = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const int64_t elements = ElementsOf(all[i]);
    const CheckpointPart::Range held = HeldRange(all[i], first);
    const absl::Span<float> mine = to(i), read = mine.first(held.end() - held.begin());
    RETURN_IF_ERROR(ReadShared(parallel, run.all_reach_run_dir, *run.resume, array, first,
                               first + elements, held.begin(), read));
    // The end of the last rank's shard, which no tensor fills.
    std::fill(mine.begin() + static_cast<int64_t>(read.size()), mine.end(), 0.0f);
    first += elements;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FindCheckpoint(RunState& run, Parallel& parallel, bool resume) {
  if (resume && parallel.rank() == 0) {
    ASSIGN_OR_RETURN(run.resume, OpenNewestCheckpoint(run.run_dir));
  }
  RETURN_IF_ERROR(ShareCheckpoint(parallel, &run.resume));
  if (!run.resume.has_value()) return absl::OkStatus();
  run.cursor = run.resume->cursor();
  if (run.cursor.stage() < run.config.stage_size()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("checkpoint ", run.resume->path, " is in stage ", run.cursor.stage() + 1,
                   ", but the config has only ", run.config.stage_size(),
                   " stages; resume with the config that the run began with"));
}

absl::Status RestoreParameters(RunState& run, Parallel& parallel) {
  CheckHasDevice(run);
  const Checkpoint& checkpoint = *run.resume;
  if (checkpoint.cursor().has_adapted_version()) {
    RETURN_IF_ERROR(LoadForStage(run, parallel, checkpoint.cursor().adapted_version()));
  }
  int next = 0;
  bool same = true;
  const TrainedTensors all = AllTrained(run);
  for (const TrainedTensor& trained : all) {
    for (const TensorShape& tensor : trained.tensors) {
      same = same && next < checkpoint.manifest.parameters_size() &&
             checkpoint.manifest.parameters(next).name() == tensor.name &&
             checkpoint.manifest.parameters(next).elements() == tensor.elements();
      ++next;
    }
  }
  if (!same || next != checkpoint.manifest.parameters_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint ", checkpoint.path,
                     " holds the parameters of another model than model.path and the stage's "
                     "settings name; resume with the config that the run began with"));
  }
  std::vector<float> read;
  const auto flush = [&](size_t i) {
    if (read.empty()) return;
    at::Tensor to = all[i].values.detach();
    to.copy_(at::from_blob(read.data(), to.sizes(), at::kFloat));
  };
  RETURN_IF_ERROR(ReadHeld(run, parallel, CheckpointArray::kParameters, [&](size_t i) {
    if (i > 0) flush(i - 1);
    read.assign(all[i].values.numel(), 0);
    return absl::MakeSpan(read);
  }));
  flush(all.size() - 1);
  run.model->Repack();
  // Without moments the checkpoint has nothing more to give; in TRAIN they have to be there.
  if (run.cursor.phase() != Cursor::TRAIN && !checkpoint.has_moments()) run.resume.reset();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<PolicyUpdate>> MakePolicyUpdate(RankContext& ranks) {
  RunState& run = ranks.run;
  CheckHasDevice(run);
  std::shared_ptr<PolicyUpdate> update =
      PolicyUpdate::Create(run.model, &ranks.parallel, run.stage().training(),
                           run.config.learner().micro_batch_tokens(), run.extra);
  run.update = update;
  if (!run.resume.has_value()) return update;
  const TrainedTensors all = AllTrained(run);
  int64_t elements = 0;
  for (const TrainedTensor& trained : all) elements += ElementsOf(trained);
  if (!run.resume->has_moments() || run.resume->elements() != elements) {
    return absl::DataLossError(
        absl::StrCat("checkpoint ", run.resume->path,
                     " lacks the optimizer's moments; delete it to resume from an older one"));
  }
  AdamMoments& moments = update->mutable_moments();
  moments.steps = run.resume->manifest.adam_steps();
  for (auto [array, values] : {std::pair(CheckpointArray::kFirst, &moments.first),
                               std::pair(CheckpointArray::kSecond, &moments.second)}) {
    int64_t at = 0;
    RETURN_IF_ERROR(ReadHeld(run, ranks.parallel, array, [&, to = values](size_t i) {
      const int64_t size = all[i].values.numel();
      return absl::MakeSpan(*to).subspan(std::exchange(at, at + size), size);
    }));
  }
  run.resume.reset();
  return update;
}

absl::Status SettleSave(RankContext& ranks, bool wait) {
  RunState& run = ranks.run;
  if (run.writer->idle() || (!wait && !run.writer->written())) return absl::OkStatus();
  RETURN_IF_ERROR(run.writer->Take());
  run.saved = *std::exchange(run.saving, std::nullopt);
  if (ranks.leader == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(TellDurable(*ranks.leader));
  DropOldFolders(*ranks.leader);  // what only the checkpoint before needed
  return absl::OkStatus();
}

absl::Status SaveRun(RankContext& ranks, const AdamMoments* moments, SavedBy by) {
  const TimedScope scope(LearnerMetrics::kCheckpoint,
                         &LearnerMetrics::Process().checkpoint_seconds);
  RunState& run = ranks.run;
  LeaderContext* const leader = ranks.leader;
  RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/true));
  if (by == SavedBy::kLeader && leader == nullptr) return absl::OkStatus();
  NamedTensors merged;  // of a version that was published as adapters
  if (run.published_adapters && (run.model->sharded() || (leader != nullptr && !leader->on_disk))) {
    merged = WeightsForLeader(ranks);
  }
  std::function<absl::Status()> keep;
  std::string folder;
  CheckpointManifest manifest;
  if (leader != nullptr) {
    RETURN_IF_ERROR(leader->membership.Check());
    ASSIGN_OR_RETURN(keep, KeepPublished(*leader, merged));
    run.cursor.set_step(run.reporter->step());
    const std::vector<std::string> lines = run.reporter->lines();
    run.cursor.mutable_lines()->Assign(lines.begin(), lines.end());
    manifest = ManifestOf(run, moments);
    ASSIGN_OR_RETURN(folder, BeginCheckpoint(run.run_dir, run.cursor.step(), run.term));
  }
  const bool by_all = by == SavedBy::kAllRanks && run.all_reach_run_dir;
  // Also tells the others that the folder exists.
  if (by_all) RETURN_IF_ERROR(ranks.parallel.Broadcast(&folder));
  CopiedPiece copied = CopyPiece(ranks, moments, by_all);
  run.saving = run.cursor;
  RankGroup* const senders = ranks.senders;
  if (leader == nullptr) {
    run.writer->Begin([=, rank = ranks.parallel.rank(), copied = std::move(copied)]() mutable {
      return by_all ? WritePart(folder, rank, copied.piece)
                    : GatherPiece(senders, std::move(copied)).status();
    });
    return absl::OkStatus();
  }
  leader->covered_plans.merge(std::exchange(leader->uncovered_plans, {}));
  const int parts = by_all ? ranks.parallel.world() : 1;
  run.writer->Begin([=, &membership = leader->membership, run_dir = run.run_dir,
                     stop = run.group_stop, keep_last = static_cast<int>(run.config.keep_last()),
                     copied = std::move(copied)]() mutable -> absl::Status {
    if (!by_all) {
      ASSIGN_OR_RETURN(copied.piece, GatherPiece(senders, std::move(copied)));
    }
    // Before a checkpoint that refers to it.
    RETURN_IF_ERROR(keep());
    RETURN_IF_ERROR(WritePart(folder, 0, copied.piece));
    RETURN_IF_ERROR(AwaitParts(folder, parts, stop));
    // A group that has taken over may have gone back to an older step and be ahead of this one.
    RETURN_IF_ERROR(membership.Check());
    return CommitCheckpoint(run_dir, folder, manifest, parts, keep_last);
  });
  return absl::OkStatus();
}

}  // namespace reckon
