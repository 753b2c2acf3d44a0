#include "cli/estimate/host_memory.h"

#include <algorithm>

namespace reckon {
namespace {

// The buffers of versions that a run uses (learner/publish/version_buffers.h).
constexpr double kVersionBuffers = 3;

// Versions that stage `index` and those before it make.
double VersionsMade(const RunConfig& config, int index) {
  double made = 0;
  for (int i = 0; i <= index; ++i) {
    const StageInfo info(config.stage(i));
    if (info.traits().trains() == StageKind::POLICY) made += info.Rounds();
  }
  return made;
}

// Whole versions after version 0 that are there at a time:
//
//   the policy's       a buffer for each that is made until the end of the stage, which begins with
//                      making the buffers; but no more than are used
//   online adapters    are published as such, which are small: what they are over, unless that is
//                      version 0, and the version that is merged to be written
//   a reward model     one beside the policy's, in which it is written
double VersionsHeld(const RankStage& s) {
  const double made = VersionsMade(s.config, s.index);
  if (s.adapted() && s.info.traits().online()) {
    return std::min(1.0, VersionsMade(s.config, s.index - 1)) + 1;
  }
  const bool writes_reward_model = s.info.traits().trains() == StageKind::REWARD_MODEL;
  return std::min(kVersionBuffers, made) + (writes_reward_model ? 1 : 0);
}

// What passes through this memory on its way, one at a time: the newest version before it is
// packed, merged in fp32, or gathered, or as it has come from a GPU, which rounds it; a version or
// a reward model that was read to be loaded.
double VersionOnItsWay(const RankStage& s) {
  if (!s.info.trains() && !s.evaluates_with_model) return 0;
  if (s.on_cpu() && s.adapted()) return 4 * ParameterCount(s.shape);
  return VersionBytes(s.config, s.shape);
}

void AddVersions(const RankStage& s, double computes, MemoryEstimate* estimate) {
  const double held = VersionsHeld(s), version = VersionBytes(s.config, s.shape);
  // On a CPU it is there while nothing computes.
  const double on_its_way = std::max(0.0, VersionOnItsWay(s) - computes);
  const bool writes = held > 0 && s.info.traits().trains() == StageKind::REWARD_MODEL;
  estimate->lines.push_back(
      {"versions", static_cast<double>(s.model.weight_bytes) + held * version + on_its_way,
       held == 0     ? "version 0"
       : s.adapted() ? "version 0, and one that is merged to be written"
       : writes      ? "version 0, those that were made, and the reward model that is written"
                     : "version 0, two that are served, and one that is packed"});
}

// Beside that in "compute copies". Actors compute from what the learner's products read, so a step
// packs into another copy, and into a third while they hold one that is published.
void AddPackedVersions(const RankStage& s, MemoryEstimate* estimate) {
  if (!s.on_cpu() || s.trained.weights == 0 || s.divided()) return;
  estimate->lines.push_back({"versions as matrix products read them",
                             std::min(kVersionBuffers - 1, VersionsMade(s.config, s.index)) *
                                 ForwardBytes(s.config, s.shape),
                             "one that actors compute from, and one that is packed"});
}

void AddMoments(const RankStage& s, MemoryEstimate* estimate) {
  if (s.on_cpu()) return;
  estimate->lines.push_back(
      {"AdamW's moments", 8 * s.trained.held(s.ranks()), "as checkpoints are copied from them"});
}

// fp32 and two moments. All ranks divide what they write; a leader that writes alone gathers array
// after array what ranks divide, beside its own part of it.
void AddCheckpoint(const RankStage& s, MemoryEstimate* estimate) {
  double copy = 12 * s.trained.all();
  if (s.folder == RunFolder::kOfAllRanks) {
    copy /= std::max<uint32_t>(1, s.config.resources().learner_ranks());
  } else if (s.ranks() > 1 && s.trained.divided() > 0) {
    copy += 4 * s.trained.held(s.ranks());
  }
  estimate->lines.push_back({"checkpoint", copy,
                             s.info.traits().online()
                                 ? "the copy that is written while the next step runs"
                                 : "the copy that is written while the next step runs, if training "
                                   "takes more than two minutes"});
}

}  // namespace

void AddHostMemory(const RankStage& stage, double computes, MemoryEstimate* estimate) {
  AddVersions(stage, computes, estimate);
  if (!stage.info.trains()) return;
  AddPackedVersions(stage, estimate);
  AddMoments(stage, estimate);
  AddCheckpoint(stage, estimate);
}

}  // namespace reckon
