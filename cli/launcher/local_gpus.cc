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

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
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

absl::StatusOr<LocalGpus> AssignGpus(const RunConfig& config, absl::Span<const std::string> gpus) {
  const ResourceSettings& resources = config.resources();
  const uint32_t ranks = resources.learner_ranks(), actors = resources.actors();
  const bool for_ranks = resources.learner().gpus() > 0, for_actors = resources.actor().gpus() > 0;
  LocalGpus assigned;
  if (!for_ranks && !for_actors) return assigned;
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
  auto next = gpus.begin();
  for (uint32_t i = 0; i < ranks; ++i) assigned.ranks.push_back(for_ranks ? *next++ : "");
  for (uint32_t i = 0; i < actors; ++i) assigned.actors.push_back(for_actors ? *next++ : "");
  return assigned;
}

bool ComputesOnGpu(const RunConfig& config) {
  const ModelSettings::Device device = config.model().device();
  return device == ModelSettings::CUDA ||
         (device == ModelSettings::AUTO && ::access("/dev/nvidiactl", F_OK) == 0);
}

absl::StatusOr<bool> TakesTurns(const RunConfig& config, bool gpu) {
  const ResourceSettings& resources = config.resources();
  const bool own = resources.learner().gpus() > 0 || resources.actor().gpus() > 0;
  const bool can = !own && resources.learner_ranks() == 1;
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
          : absl::StrCat("resources.learner_ranks is ", resources.learner_ranks(),
                         ": ranks wait for each other, so they cannot wait for turns"),
      "; set turns to AUTO or ", own ? "both to 0" : "learner_ranks to 1"));
}

}  // namespace reckon
