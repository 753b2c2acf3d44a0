#include "cli/launcher/local_gpus.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace reckon {
namespace {

#ifdef RECKON_CUDA
constexpr bool kBuiltForGpus = true;
#else
constexpr bool kBuiltForGpus = false;
#endif

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

bool HaveOwnGpus(const ResourceSettings& resources) {
  return resources.learner().gpus() > 0 || resources.actor().gpus() > 0;
}

// A GPU for each rank, which actors share.
absl::StatusOr<LocalGpus> AssignCards(const RunConfig& config, absl::Span<const std::string> gpus) {
  const ResourceSettings& resources = config.resources();
  const uint32_t ranks = resources.learner_ranks();
  if (ranks > gpus.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat(ranks, " learner ranks need a GPU each, which they share with actors, and ",
                     gpus.size(), " can be used here (CUDA_VISIBLE_DEVICES, or all of the ",
                     "machine); lower resources.learner_ranks, or set model.device to CPU"));
  }
  LocalGpus assigned;
  assigned.ranks.assign(gpus.begin(), gpus.begin() + ranks);
  for (uint32_t i = 0; i < resources.actors(); ++i) {
    assigned.actors.push_back(gpus[CardOfActor(config, i)]);
  }
  return assigned;
}

}  // namespace

std::vector<std::string> FindGpus(const char* visible, const std::string& devices) {
  std::vector<std::string> gpus;
  if (visible != nullptr) {
    for (absl::string_view name : absl::StrSplit(visible, ',')) {
      name = absl::StripAsciiWhitespace(name);
      if (name.empty() || name == "-1") break;
      gpus.emplace_back(name);
    }
    return gpus;
  }
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(devices, error)) {
    const std::string name = file.path().filename().string();
    absl::string_view number = name;
    // CUDA numbers the devices that it finds, whatever the numbers of their files.
    if (absl::ConsumePrefix(&number, "nvidia") && IsNumber(number)) {
      gpus.push_back(absl::StrCat(gpus.size()));
    }
  }
  return gpus;
}

uint32_t CardOfActor(const RunConfig& config, uint32_t actor) {
  return actor % config.resources().learner_ranks();
}

uint32_t ActorsOnACard(const RunConfig& config) {
  const ResourceSettings& resources = config.resources();
  return (resources.actors() + resources.learner_ranks() - 1) / resources.learner_ranks();
}

absl::StatusOr<LocalGpus> AssignGpus(const RunConfig& config, bool gpu,
                                     absl::Span<const std::string> gpus) {
  const ResourceSettings& resources = config.resources();
  const uint32_t ranks = resources.learner_ranks(), actors = resources.actors();
  const bool for_ranks = resources.learner().gpus() > 0, for_actors = resources.actor().gpus() > 0;
  if (!HaveOwnGpus(resources)) {
    // A CUDA_VISIBLE_DEVICES that names none makes AUTO the CPU; of CUDA each role says so itself.
    return gpu && ranks > 1 && !gpus.empty() ? AssignCards(config, gpus) : LocalGpus();
  }
  if (config.model().device() == ModelSettings::CUDA && for_ranks != for_actors) {
    return absl::FailedPreconditionError(absl::StrCat("model.device is CUDA, and resources.",
                                                      for_ranks ? "actor" : "learner",
                                                      ".gpus is 0; set both to 1, or to 0"));
  }
  const uint32_t wanted = (for_ranks ? ranks : 0) + (for_actors ? actors : 0);
  if (wanted > gpus.size()) {
    return absl::FailedPreconditionError(absl::StrCat(
        for_ranks ? absl::StrCat(ranks, " learner ranks") : "",
        for_ranks && for_actors ? " and " : "", for_actors ? absl::StrCat(actors, " actors") : "",
        " ask for a GPU each, and ", gpus.size(),
        " can be used here (CUDA_VISIBLE_DEVICES, or all of the machine); lower "
        "resources.learner_ranks or resources.actors, or let all share one: "
        "resources.learner.gpus: 0 and resources.actor.gpus: 0"));
  }
  LocalGpus assigned = {.ranks = {}, .actors = {}, .shared = false};
  auto next = gpus.begin();
  for (uint32_t i = 0; i < ranks; ++i) assigned.ranks.push_back(for_ranks ? *next++ : "");
  for (uint32_t i = 0; i < actors; ++i) assigned.actors.push_back(for_actors ? *next++ : "");
  return assigned;
}

bool ComputesOnGpu(const RunConfig& config) {
  const ModelSettings::Device device = config.model().device();
  return device == ModelSettings::CUDA ||
         (device == ModelSettings::AUTO && kBuiltForGpus && ::access("/dev/nvidiactl", F_OK) == 0);
}

bool SharesGpus(const RunConfig& config) {
  return ComputesOnGpu(config) && !HaveOwnGpus(config.resources());
}

absl::StatusOr<bool> TakesTurns(const RunConfig& config, bool gpu) {
  const ResourceSettings& resources = config.resources();
  const bool own = HaveOwnGpus(resources);
  const bool can = !own && config.learner().broadcast() != LearnerSettings::NCCL;
  switch (resources.turns()) {
    case ResourceSettings::OFF:
      return false;
    case ResourceSettings::AUTO:
      return gpu && can;
    case ResourceSettings::ON:
      if (can) return true;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "resources.turns is ON, and ",
      own ? "resources.learner.gpus or resources.actor.gpus is 1: these share no device"
          : "learner.broadcast is NCCL, which sends from the learner's GPU at any time",
      "; set turns to AUTO or ", own ? "both to 0" : "broadcast to GLOO"));
}

}  // namespace reckon
