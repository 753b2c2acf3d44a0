#include "cli/launcher/local_roles.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "common/net/run_certificates.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
// The coordinator tells its port by a file only, so its start is polled.
constexpr absl::Duration kStartPoll = absl::Milliseconds(20);

absl::Status Probe(const std::string& address, const std::shared_ptr<const Security>& security) {
  ASSIGN_OR_RETURN(const auto channel, MakeChannel(address, security));
  auto stub = reckon::Coordinator::NewStub(channel);
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

LocalRoles::LocalRoles(RunConfig config, LocalPlace place)
    : config_(std::move(config)), place_(std::move(place)), programs_(ProgramsFolder()) {}

Command LocalRoles::MakeCommand(const std::string& program, const std::string& name,
                                std::vector<std::string> arguments,
                                const std::vector<std::string>& gpus, uint32_t index) const {
  Command command = {
      name, {absl::StrCat(programs_, "/", program)}, absl::StrCat(place_.logs, "/", name, ".log")};
  std::move(arguments.begin(), arguments.end(), std::back_inserter(command.argv));
  if (!gpus.empty()) {
    command.environment.push_back(absl::StrCat("CUDA_VISIBLE_DEVICES=", gpus[index]));
  }
  return command;
}

std::string LocalRoles::CertificatesFor(Role role) const {
  return CertificatesOf(place_.run_dir + "/certificates", role);
}

RolePorts LocalRoles::PortsOf(Role role, const std::string& name) const {
  RolePorts ports = {.certificates = CertificatesFor(role)};
  if (!place_.targets.empty()) {
    ports.metrics_listen = "127.0.0.1:0";
    ports.metrics_target = absl::StrCat(place_.targets, "/", name, ".json");
  }
  return ports;
}

std::string LocalRoles::TurnFile(uint32_t card) const {
  const bool shared = place_.turns && card < config_.resources().actors();
  return shared ? absl::StrCat(place_.run_dir, "/turn-", card) : "";
}

Command LocalRoles::Coordinator(const std::string& listen) const {
  return MakeCommand(
      "reckon-coordinator", "coordinator",
      CoordinatorArguments(config_, {.store = place_.run_dir + "/store",
                                     .listen = listen,
                                     .port_file = port_file(),
                                     .ports = PortsOf(Role::kCoordinator, "coordinator")}));
}

Command LocalRoles::Actor(const std::string& coordinator, uint32_t index) const {
  const uint32_t actors = config_.resources().actors();
  uint32_t threads = config_.resources().actor().cpus();
  if (threads == 0 && actors > 1) {
    threads = std::max(1u, static_cast<uint32_t>(UsableCores()) / actors);
  }
  const std::string name = absl::StrCat("actor-", index);
  return MakeCommand("reckon-actor", name,
                     ActorArguments(config_, {.coordinator = coordinator,
                                              .name = name,
                                              .threads = threads,
                                              .shares_gpu = place_.gpus.shared,
                                              .turn_file = TurnFile(CardOfActor(config_, index)),
                                              .ports = PortsOf(Role::kActor, name)}),
                     place_.gpus.actors, index);
}

std::vector<Command> LocalRoles::Learner(const std::string& coordinator, const std::string& nonce,
                                         bool resume) const {
  std::vector<Command> commands;
  const uint32_t ranks = config_.resources().learner_ranks();
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    const std::string name = absl::StrCat("learner-", rank);
    commands.push_back(MakeCommand(
        "reckon-learner", name,
        LearnerArguments({.coordinator = coordinator,
                          // The others get them from rank 0.
                          .config = rank == 0 ? place_.run_dir + "/config.textproto" : "",
                          .run_dir = rank == 0 ? place_.run_dir : "",
                          .rank = rank,
                          .world_size = ranks,
                          .nonce = nonce,
                          .resume = rank == 0 && resume,
                          .turn_file = TurnFile(rank),
                          .ports = PortsOf(Role::kLearner, name)}),
        place_.gpus.ranks, rank));
  }
  return commands;
}

absl::StatusOr<std::string> LocalRoles::StartCoordinator(Supervisor* supervisor,
                                                         std::stop_token stop) const {
  const std::string& listen = config_.coordinator().listen();
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  ASSIGN_OR_RETURN(const auto security, Security::Load(CertificatesFor(Role::kUser), Role::kUser));
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
    last = Probe(reached.ToString(), security);
    if (!last.ok()) continue;
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
