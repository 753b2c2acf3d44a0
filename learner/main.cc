// reckon-learner: one rank of the learner group.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "common/base/exit_status.h"
#include "common/base/host_port.h"
#include "common/base/program_flags.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
#include "common/config/config.h"
#include "common/model/device_memory.h"
#include "common/net/channel.h"
#include "common/net/network_interface.h"
#include "common/telemetry/operator_ports.h"
#include "learner/learner.h"
#include "learner/report/learner_metrics.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, coordinator, "", "address of the coordinator, host:port");
ABSL_FLAG(std::string, config, "",
          "the run's config file; of rank 0, which gives it to the others");
ABSL_FLAG(std::string, run_dir, "", "the run's folder; of rank 0, the others use none");
ABSL_FLAG(int, rank, 0, "this rank, from 0");
ABSL_FLAG(int, world_size, 1, "number of ranks");
ABSL_FLAG(
    bool, resume, false,
    "resume from the newest checkpoint, if there is one; of rank 0, which gives it to the others");
ABSL_FLAG(std::string, launch, "",
          "name of the launch that this start belongs to: a start of the launch that began the run "
          "resumes without --resume; of rank 0");
ABSL_FLAG(std::string, nonce, "",
          "name of this start of the group: equal on all its ranks, new for each start");
ABSL_FLAG(std::string, interface_address, "",
          "name or address of this rank at which the other ranks reach it; default: --announce, or "
          "127.0.0.1");
ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "address at which rank 0 serves weights; port 0: any");
ABSL_FLAG(std::string, certificates, "",
          "folder with ca.crt, tls.crt, tls.key and token; empty: plain text, on loopback only");
ABSL_FLAG(std::string, announce, "",
          "name or address at which actors reach it; default: the host of --listen, or this "
          "machine's name when that is 0.0.0.0 or [::]");
ABSL_FLAG(
    std::string, turn_file, "",
    "file that tells whose turn it is on the device, if this rank shares it with actors: on a "
    "GPU, and with resources.turns: ON on a CPU; empty: it is the rank's alone");
ABSL_FLAG(int, checkpoint_seconds, 120, "seconds between checkpoints within a stage");
ABSL_FLAG(int, checkpoint_steps, 0, "also after this many optimizer steps; 0: by time alone");

namespace reckon {
namespace {

absl::StatusOr<LearnerOptions> OptionsFromFlags() {
  LearnerOptions options;
  options.rank = absl::GetFlag(FLAGS_rank);
  options.world_size = absl::GetFlag(FLAGS_world_size);
  options.resume = absl::GetFlag(FLAGS_resume);
  options.launch = absl::GetFlag(FLAGS_launch);
  options.nonce = absl::GetFlag(FLAGS_nonce);
  options.listen = absl::GetFlag(FLAGS_listen);
  options.announce = absl::GetFlag(FLAGS_announce);
  options.turn_file = absl::GetFlag(FLAGS_turn_file);
  options.interface_address = absl::GetFlag(FLAGS_interface_address);
  if (options.interface_address.empty()) {
    options.interface_address = options.announce.empty() ? "127.0.0.1" : options.announce;
  }
  options.checkpoint_interval = absl::Seconds(absl::GetFlag(FLAGS_checkpoint_seconds));
  options.checkpoint_steps = absl::GetFlag(FLAGS_checkpoint_steps);
  std::vector<const char*> required = {"coordinator"};
  if (options.rank == 0) required = {"coordinator", "config", "run_dir"};
  for (const char* flag : required) {
    if (absl::FindCommandLineFlag(flag)->CurrentValue().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--", flag, " is required"));
    }
  }
  for (const auto& [flag, value] : {std::pair{"coordinator", absl::GetFlag(FLAGS_coordinator)},
                                    std::pair{"listen", options.listen}}) {
    if (const absl::Status status = ParseHostPort(value).status(); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", status.message()));
    }
  }
  if (const absl::Status host = AnnouncedAddress(HostPort(), options.announce).status();
      !host.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--announce: ", host.message()));
  }
  if (options.rank < 0 || options.rank >= options.world_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rank is ", options.rank, "; it must be 0 to --world_size - 1"));
  }
  if (options.world_size > 1 && options.nonce.empty()) {
    return absl::InvalidArgumentError("--nonce is required with several ranks");
  }
  auto security = Security::Load(absl::GetFlag(FLAGS_certificates), Role::kLearner);
  if (!security.ok()) return security.status();
  options.security = *std::move(security);
  // A command line that is the same for all ranks may name files that only rank 0 has.
  if (options.rank > 0) return options;
  options.run_dir = absl::GetFlag(FLAGS_run_dir);
  absl::StatusOr<RunConfig> config = LoadConfig(absl::GetFlag(FLAGS_config), {});
  if (!config.ok()) return config.status();
  options.config = *std::move(config);
  return options;
}

absl::Status Learn(std::stop_token stop) {
  ASSIGN_OR_RETURN(const LearnerOptions options, OptionsFromFlags());
  LearnerMetrics& metrics = LearnerMetrics::Process();
  metrics.rank.Set(options.rank);
  ASSIGN_OR_RETURN(const std::unique_ptr<OperatorPorts> ports,
                   OperatorPorts::Open("learner", &metrics.activity));
  Registry::Handle disk;
  if (options.rank == 0) disk = WatchDisk(options.run_dir, &Registry::Process());
  if (options.world_size > 1 || options.config.learner().broadcast() == LearnerSettings::NCCL) {
    RETURN_IF_ERROR(BindCollectives(options.interface_address));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                   MakeChannel(absl::GetFlag(FLAGS_coordinator), options.security));
  std::shared_ptr<Coordinator::StubInterface> stub = Coordinator::NewStub(channel);
  return RunLearner(options, stub, stop);
}

int Main() {
  std::stop_source stop;
  StopOnSignals(stop);
  const absl::Status status = Learn(stop.get_token());
  if (status.ok()) return 0;
  // The run is not finished: a scheduler that saw 0 of the leader would take the work for done. The
  // other ranks end first, and srun would kill a leader that saves if their status were an error.
  if (stop.stop_requested()) return absl::GetFlag(FLAGS_rank) == 0 ? kExitMayHeal : 0;
  std::cerr << "reckon-learner: " << status.message() << std::endl;
  return ExitStatus(status);
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  reckon::PrepareHostMemory();
  reckon::ParseProgramFlags(argc, argv, "one rank of Reckon's learner group");
  reckon::InitLogging(argv[0]);
  int code = reckon::Main();
  // Gloo's threads may wait for ranks that have ended, so static destructors must not run.
  std::fflush(nullptr);
  std::_Exit(code);
}
