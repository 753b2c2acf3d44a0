#include "cli/commands/resource_plan.h"

#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/commands/machine.h"
#include "cli/estimate/actor_memory.h"
#include "cli/estimate/learner_memory.h"
#include "cli/launcher/local_gpus.h"
#include "cli/launcher/role_commands.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

constexpr uint32_t kCoordinatorCpus = 2;
// Its store's caches, and the rollouts of the groups that are not yet durable.
constexpr uint32_t kCoordinatorGib = 4;
// What a process on a GPU has in the memory of its machine: the libraries of CUDA.
constexpr double kGpuProcessBytes = 4 * kGiB;

Placement PlacementOf(const RoleResources& role, const RunConfig& config, Site site) {
  const bool shares = site == Site::kThisMachine && SharesGpus(config);
  return role.gpus() > 0 || shares ? Placement::kGpu : Placement::kCpu;
}

// Memory of one process on its machine, in bytes.
double ActorBytes(const RunConfig& config, const ModelSize& model, Site site) {
  if (ActorPlacement(config, site) == Placement::kGpu) {
    return kGpuProcessBytes + ActorHostBytes(config, model);
  }
  return ActorMemory(config, model, Placement::kCpu).total();
}

double LearnerBytes(const RunConfig& config, const ModelSize& model, Site site) {
  const RunFolder folder = FolderAt(site);
  if (LearnerPlacement(config, site) == Placement::kGpu) {
    return kGpuProcessBytes + LearnerHostMemory(config, model, folder).estimate.total();
  }
  return LearnerMemory(config, model, Placement::kCpu, folder).estimate.total();
}

// What a rank may take where it computes.
double RankLimit(const RunConfig& config, const ModelSize& model, Site site) {
  const ResourceSettings& resources = config.resources();
  if (LearnerPlacement(config, site) == Placement::kGpu) {
    const bool at_once = site == Site::kThisMachine && SharesGpus(config) &&
                         !TakesTurns(config, /*gpu=*/true).value_or(false);
    if (!at_once) return kGpuBytes;
    return kGpuBytes - ActorsOnACard(config) * ActorMemory(config, model, Placement::kGpu).total();
  }
  if (resources.learner().memory_gib() > 0) return resources.learner().memory_gib() * kGiB;
  const auto machine = static_cast<double>(ReadMachineLimits().memory_bytes);
  if (site != Site::kThisMachine || machine == 0) return std::numeric_limits<double>::infinity();
  return (machine - ActorBytes(config, model, site) * resources.actors()) /
         resources.learner_ranks();
}

absl::Status CheckRole(absl::string_view role, const RoleResources& resources, double bytes,
                       absl::string_view remedy) {
  if (resources.memory_gib() == 0 || bytes <= resources.memory_gib() * kGiB) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("resources.", role, ".memory_gib is ", resources.memory_gib(), ", but ", role,
                   " needs about ", FormatBytes(bytes), "; raise it, or lower ", remedy));
}

constexpr absl::string_view kLessForActor = "actor.kv_cache_mib";
constexpr absl::string_view kLessForLearner = "learner.micro_batch_tokens";

void Fill(double bytes, RoleResources* resources) {
  if (resources->memory_gib() > 0) return;
  resources->set_memory_gib(static_cast<uint32_t>(std::ceil(1.1 * bytes / kGiB)));
}

}  // namespace

RunFolder FolderAt(Site site) {
  return site == Site::kKubernetes ? RunFolder::kOfTheLeader : RunFolder::kOfAllRanks;
}

Placement ActorPlacement(const RunConfig& config, Site site) {
  return PlacementOf(config.resources().actor(), config, site);
}

Placement LearnerPlacement(const RunConfig& config, Site site) {
  return PlacementOf(config.resources().learner(), config, site);
}

void PlanSharding(const ModelSize* model, Site site, RunConfig* config) {
  if (model == nullptr) return;
  ChooseSharding(*model, LearnerPlacement(*config, site), FolderAt(site),
                 RankLimit(*config, *model, site), config);
}

absl::Status CheckLocalMemory(const RunConfig& config, const ModelSize* model) {
  if (model == nullptr) return absl::OkStatus();
  const ResourceSettings& resources = config.resources();
  const double actor = ActorBytes(config, *model, Site::kThisMachine);
  const double learner = LearnerBytes(config, *model, Site::kThisMachine);
  RETURN_IF_ERROR(CheckRole("actor", resources.actor(), actor, kLessForActor));
  RETURN_IF_ERROR(CheckRole("learner", resources.learner(), learner, kLessForLearner));
  const double all = actor * resources.actors() + learner * resources.learner_ranks();
  const auto machine = static_cast<double>(ReadMachineLimits().memory_bytes);
  if (machine == 0 || all <= machine) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      resources.actors(), " actors and ", resources.learner_ranks(), " learner ranks need about ",
      FormatBytes(all), ", and this machine has ", FormatBytes(machine),
      "; --dry-run shows the parts; lower actor.kv_cache_mib, learner.micro_batch_tokens, "
      "resources.actors or resources.learner_ranks"));
}

absl::Status PlanClusterResources(const ModelSize* model, Site site, RunConfig* config) {
  ResourceSettings& resources = *config->mutable_resources();
  if (resources.turns() == ResourceSettings::ON) {
    return absl::FailedPreconditionError(
        "resources.turns is ON, and on a cluster no rank and actor share a device: each pod or "
        "task has what it asks for; set it to AUTO, or run `reckon train` on one machine");
  }
  if (config->model().device() == ModelSettings::CUDA) {
    for (const auto& [role, of] :
         {std::pair{"actor", &resources.actor()}, {"learner", &resources.learner()}}) {
      if (of->gpus() > 0) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("model.device is CUDA, and resources.", role, ".gpus is 0; set it to 1"));
    }
  }
  RoleResources& coordinator = *resources.mutable_coordinator();
  RoleResources& actor = *resources.mutable_actor();
  RoleResources& learner = *resources.mutable_learner();
  if (coordinator.cpus() == 0) coordinator.set_cpus(kCoordinatorCpus);
  if (coordinator.memory_gib() == 0) coordinator.set_memory_gib(kCoordinatorGib);
  actor.set_cpus(ClusterCpus(actor));
  learner.set_cpus(ClusterCpus(learner));
  PlanSharding(model, site, config);
  if (model == nullptr) {
    if (actor.memory_gib() > 0 && learner.memory_gib() > 0) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the model, or the data that the vocabulary of a new one is made of, cannot be read here, "
        "so its memory is not known; set "
        "resources.actor.memory_gib and resources.learner.memory_gib");
  }
  const double actor_bytes = ActorBytes(*config, *model, site);
  const double learner_bytes = LearnerBytes(*config, *model, site);
  RETURN_IF_ERROR(CheckRole("actor", actor, actor_bytes, kLessForActor));
  RETURN_IF_ERROR(CheckRole("learner", learner, learner_bytes, kLessForLearner));
  Fill(actor_bytes, &actor);
  Fill(learner_bytes, &learner);
  return absl::OkStatus();
}

}  // namespace reckon
