#include "cli/launcher/local_roles.h"

#include <cstdlib>
#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
// The coordinator tells its port by a file only, so its start is polled.
constexpr absl::Duration kStartPoll = absl::Milliseconds(20);

absl::Status Probe(const std::string& address) {
  auto stub = reckon::Coordinator::NewStub(MakeChannel(address));
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(2));
  GetStatusReply reply;
  return FromGrpc(stub->GetStatus(&context, GetStatusRequest(), &reply));
}

}  // namespace

std::string MakeNonce() {
  std::random_device device;
  return absl::StrFormat("%08x%08x", device(), device());
}

std::string ProgramsFolder() {
  const char* folder = std::getenv("RECKON_PROGRAMS");
  return folder != nullptr && *folder != '\0' ? folder : ProgramFolder();
}

LocalRoles::LocalRoles(RunConfig config, std::string run_dir)
    : config_(std::move(config)), run_dir_(std::move(run_dir)), programs_(ProgramsFolder()) {}

Command LocalRoles::Role(const std::string& program, const std::string& name) const {
  return {name,
          {absl::StrCat(programs_, "/", program)},
          absl::StrCat(run_dir_, "/logs/", name, ".log")};
}

Command LocalRoles::Coordinator(const std::string& listen) const {
  const CoordinatorSettings& settings = config_.coordinator();
  Command command = Role("reckon-coordinator", "coordinator");
  for (const std::string& arg : {
           absl::StrCat("--run=", config_.name()),
           absl::StrCat("--store=", run_dir_, "/store"),
           absl::StrCat("--listen=", listen),
           absl::StrCat("--port_file=", port_file()),
           absl::StrCat("--lease_ms=", settings.lease_ms()),
           absl::StrCat("--max_attempts=", settings.max_attempts()),
           absl::StrCat("--sync_tick_ms=", settings.sync_tick_ms()),
           absl::StrCat("--max_resident_groups=", settings.max_resident_groups()),
           absl::StrCat("--rank_timeout_ms=", settings.rank_timeout_ms()),
           absl::StrCat("--retention=", CoordinatorSettings::Retention_Name(settings.retention())),
       }) {
    command.argv.push_back(arg);
  }
  return command;
}

Command LocalRoles::Actor(const std::string& coordinator, uint32_t index) const {
  const ActorSettings& settings = config_.actor();
  const uint32_t actors = config_.resources().actors();
  uint32_t threads = config_.resources().actor().cpus();
  if (threads == 0 && actors > 1) {
    threads = std::max(1u, static_cast<uint32_t>(UsableCores()) / actors);
  }
  Command command = Role("reckon-actor", absl::StrCat("actor-", index));
  bool fp32 = config_.model().compute() == ModelSettings::FP32;
  for (const std::string& arg : {
           absl::StrCat("--coordinator=", coordinator),
           absl::StrCat("--name=actor-", index),
           absl::StrCat("--threads=", threads),
           absl::StrCat("--max_batch=", settings.max_batch()),
           absl::StrCat("--kv_cache_mib=", settings.kv_cache_mib()),
           absl::StrCat("--compute=", fp32 ? "fp32" : "bf16"),
           absl::StrCat("--device=", ModelSettings::Device_Name(config_.model().device())),
       }) {
    command.argv.push_back(arg);
  }
  return command;
}

std::vector<Command> LocalRoles::Learner(const std::string& coordinator, const std::string& nonce,
                                         bool resume) const {
  std::vector<Command> commands;
  for (uint32_t rank = 0; rank < config_.resources().learner_ranks(); ++rank) {
    Command command = Role("reckon-learner", absl::StrCat("learner-", rank));
    for (const std::string& arg : {
             absl::StrCat("--coordinator=", coordinator),
             absl::StrCat("--rank=", rank),
             absl::StrCat("--world_size=", config_.resources().learner_ranks()),
             absl::StrCat("--nonce=", nonce),
         }) {
      command.argv.push_back(arg);
    }
    if (rank == 0) {  // the others get what they need from it
      command.argv.push_back(absl::StrCat("--config=", run_dir_, "/config.textproto"));
      command.argv.push_back(absl::StrCat("--run_dir=", run_dir_));
      if (resume) command.argv.push_back("--resume");
    }
    commands.push_back(std::move(command));
  }
  return commands;
}

absl::StatusOr<std::string> LocalRoles::StartCoordinator(Supervisor* supervisor,
                                                         std::stop_token stop) const {
  const std::string& listen = config_.coordinator().listen();
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  std::error_code ignored;
  std::filesystem::remove(port_file(), ignored);
  Command command = Coordinator(listen);
  RETURN_IF_ERROR(supervisor->StartDaemon(command));
  absl::Time deadline = absl::Now() + kStartTimeout;
  absl::Status last = absl::DeadlineExceededError("it has not written its port");
  while (absl::Now() < deadline) {
    if (WaitForStop(stop, kStartPoll)) return absl::CancelledError("stopped");
    RETURN_IF_ERROR(supervisor->CheckDaemon(command.name));
    absl::StatusOr<std::string> text = ReadFile(port_file(), 256);
    if (!text.ok()) continue;
    ASSIGN_OR_RETURN(const HostPort chosen, ParseHostPort(absl::StripAsciiWhitespace(*text)));
    address.port = chosen.port;
    supervisor->ReplaceDaemon(Coordinator(address.ToString()));
    HostPort reached = address;
    if (address.is_wildcard()) reached.host = address.host == "::" ? "::1" : "127.0.0.1";
    last = Probe(reached.ToString());
    if (!last.ok()) continue;
    RETURN_IF_ERROR(WriteFileAtomically(run_dir_ + "/coordinator.addr", reached.ToString() + "\n"));
    return reached.ToString();
  }
  return absl::UnavailableError(absl::StrCat(
      "the coordinator does not answer after 60 s: ", last.message(), "; see ", command.log_path));
}

absl::Status LocalRoles::StartActors(Supervisor* supervisor, const std::string& coordinator) const {
  for (uint32_t i = 0; i < config_.resources().actors(); ++i) {
    RETURN_IF_ERROR(supervisor->StartDaemon(Actor(coordinator, i)));
  }
  return absl::OkStatus();
}

}  // namespace reckon
