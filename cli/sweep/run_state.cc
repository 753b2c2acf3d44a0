#include "cli/sweep/run_state.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/paths.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/fields.h"
#include "common/config/run_folder.h"
#include "common/telemetry/progress.h"

namespace reckon {
namespace {

// With all defaults, as run folders have it.
RunConfig InFull(RunConfig config) {
  FillDefaults(&config);
  return config;
}

// A launcher fills in the cores and memory that a config leaves open (0).
void TakeFilledIn(const RoleResources& before, RoleResources* mine) {
  if (mine->cpus() == 0) mine->set_cpus(before.cpus());
  if (mine->memory_gib() == 0) mine->set_memory_gib(before.memory_gib());
}

// It also decides what AUTO leaves open.
void TakeDecided(const LearnerSettings& before, LearnerSettings* mine) {
  if (mine->sharding() != LearnerSettings::AUTO) return;
  mine->set_sharding(before.sharding());
  if (before.activation_checkpointing()) mine->set_activation_checkpointing(true);
}

}  // namespace

absl::StatusOr<RunState> InspectRun(const SweepRun& run) {
  const std::string folder = run.folder(), path = folder + "/config.textproto";
  ASSIGN_OR_RETURN(const bool exists, PathExists(path));
  if (!exists) return RunState::kNew;
  ASSIGN_OR_RETURN(const RunConfig before, LoadConfig(path, {}));
  RunConfig mine = run.config;
  ResourceSettings& resources = *mine.mutable_resources();
  TakeFilledIn(before.resources().coordinator(), resources.mutable_coordinator());
  TakeFilledIn(before.resources().actor(), resources.mutable_actor());
  TakeFilledIn(before.resources().learner(), resources.mutable_learner());
  TakeDecided(before.learner(), mine.mutable_learner());
  const std::vector<FieldDifference> changes = FindDifferences(InFull(before), InFull(mine));
  if (!changes.empty() && HasBegun(folder)) {
    const FieldDifference& first = changes[0];
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run.name, ": ", folder, " was made with another config: ", first.path,
                     " was ", Printable(first.before, 200), ", now ", Printable(first.after, 200),
                     "; delete that folder, or give the sweep another name"));
  }
  const absl::StatusOr<Progress> progress = ReadProgress(folder);
  return changes.empty() && progress.ok() && progress->finished() ? RunState::kFinished
                                                                  : RunState::kInterrupted;
}

}  // namespace reckon
