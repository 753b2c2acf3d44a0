#include "cli/launcher/role_commands.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/task/reward/own_rewards.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr uint32_t kDefaultClusterCpus = 4;

class Arguments {
 public:
  template <typename Value>
  void Always(absl::string_view flag, const Value& value) {
    all_.push_back(absl::StrCat("--", flag, "=", value));
  }
  void IfSet(absl::string_view flag, const std::string& value) {
    if (!value.empty()) Always(flag, value);
  }
  void IfSet(absl::string_view flag, const std::optional<uint32_t>& value) {
    if (value.has_value()) Always(flag, *value);
  }
  void Ports(const RolePorts& ports) {
    IfSet("certificates", ports.certificates);
    IfSet("health_listen", ports.health_listen);
    IfSet("metrics_listen", ports.metrics_listen);
    IfSet("metrics_target", ports.metrics_target);
  }
  void Add(const std::string& argument) { all_.push_back(argument); }
  std::vector<std::string> Take() { return std::move(all_); }

 private:
  std::vector<std::string> all_;
};

}  // namespace

std::vector<std::string> CoordinatorArguments(const RunConfig& config,
                                              const CoordinatorPlace& place) {
  const CoordinatorSettings& settings = config.coordinator();
  Arguments arguments;
  arguments.Always("run", config.name());
  arguments.IfSet("store", place.store);
  arguments.IfSet("listen", place.listen);
  arguments.IfSet("port_file", place.port_file);
  arguments.Always("lease_ms", settings.lease_ms());
  arguments.Always("max_attempts", settings.max_attempts());
  arguments.Always("sync_tick_ms", settings.sync_tick_ms());
  arguments.Always("max_resident_groups", settings.max_resident_groups());
  arguments.Always("rank_timeout_ms", settings.rank_timeout_ms());
  arguments.Always("retention", CoordinatorSettings::Retention_Name(settings.retention()));
  arguments.Ports(place.ports);
  return arguments.Take();
}

std::vector<std::string> ActorArguments(const RunConfig& config, const ActorPlace& place) {
  const ActorSettings& settings = config.actor();
  Arguments arguments;
  arguments.IfSet("coordinator", place.coordinator);
  arguments.IfSet("name", place.name);
  arguments.IfSet("threads", place.threads);
  arguments.IfSet("listen", place.listen);
  arguments.Always("max_batch", settings.max_batch());
  // What is left of a GPU is an actor's only if the GPU is, or the turn on it.
  const bool some = settings.kv_cache_mib() == 0 && place.shares_gpu && place.turn_file.empty();
  arguments.Always("kv_cache_mib", some ? kSharedKvCacheMib : settings.kv_cache_mib());
  arguments.Always("weights", ActorSettings::Weights_Name(settings.weights()));
  arguments.Always("old_tokens", ActorSettings::OldTokens_Name(settings.old_tokens()));
  if (const std::vector<std::string> commands = RewardCommands(config); !commands.empty()) {
    arguments.Always("reward_commands",
                     nlohmann::json(commands).dump(-1, ' ', /*ensure_ascii=*/true));
  }
  arguments.Always("compute", config.model().compute() == ModelSettings::FP32 ? "fp32" : "bf16");
  arguments.Always("device", ModelSettings::Device_Name(config.model().device()));
  arguments.IfSet("turn_file", place.turn_file);
  if (!place.turn_file.empty() && config.resources().turns() == ResourceSettings::ON) {
    arguments.Add("--turns_on_cpu");
  }
  if (config.model().row_invariant()) arguments.Add("--row_invariant");
  arguments.Ports(place.ports);
  return arguments.Take();
}

std::vector<std::string> LearnerArguments(const LearnerPlace& place) {
  Arguments arguments;
  arguments.IfSet("coordinator", place.coordinator);
  arguments.IfSet("config", place.config);
  arguments.IfSet("run_dir", place.run_dir);
  arguments.IfSet("rank", place.rank);
  arguments.IfSet("world_size", place.world_size);
  arguments.IfSet("nonce", place.nonce);
  arguments.IfSet("listen", place.listen);
  arguments.IfSet("turn_file", place.turn_file);
  if (place.resume) arguments.Add("--resume");
  arguments.Ports(place.ports);
  return arguments.Take();
}

uint32_t ClusterCpus(const RoleResources& resources) {
  return resources.cpus() == 0 ? kDefaultClusterCpus : resources.cpus();
}

}  // namespace reckon
