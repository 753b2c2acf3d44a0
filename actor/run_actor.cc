#include "actor/run_actor.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "actor/actor.h"
#include "actor/replay.h"
#include "actor/runner/torch_model_runner.h"
#include "common/base/exit_status.h"
#include "common/base/files.h"
#include "common/base/host_port.h"
#include "common/base/program_flags.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
#include "common/base/thread_pool.h"
#include "common/model/broadcast/broadcast_receiver.h"
#include "common/model/device_memory.h"
#include "common/model/files/model_folder.h"
#include "common/model/packed_form.h"
#include "common/net/channel.h"
#include "common/net/network_interface.h"
#include "common/telemetry/operator_ports.h"
#include "common/text/json.h"
#include "common/text/tokenizer.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, coordinator, "", "host:port of the coordinator");
ABSL_FLAG(std::string, certificates, "",
          "folder with ca.crt, tls.crt, tls.key and token; empty: plain text, on loopback only");
ABSL_FLAG(std::string, name, "",
          "name of this actor, unique in the run; default: host name and process id");
ABSL_FLAG(
    std::string, listen, "",
    "host:port at which this actor serves the weights it has to other actors, port 0: any free "
    "one; empty: it serves none");
ABSL_FLAG(std::string, announce, "",
          "host at which other actors reach --listen; default: its host");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");
ABSL_FLAG(int, max_batch, 0,
          "samples generated at once; 0: 64 on a CPU, on a GPU what the KV cache has room for");
ABSL_FLAG(int, kv_cache_mib, 0,
          "memory for keys and values, in MiB; 0: 1024 on a CPU, on a GPU what is left");
ABSL_FLAG(
    std::string, weights, "DRAIN",
    "when a newer version comes: DRAIN, samples are finished with theirs; IN_FLIGHT, they continue "
    "with the newer one");
ABSL_FLAG(std::string, old_tokens, "KEEP",
          "with IN_FLIGHT, keys and values of the tokens before: KEEP or RECOMPUTE");
ABSL_FLAG(
    std::string, reward_commands, "",
    "commands that rewards of kind PROCESS may have, as a JSON array of texts; a plan's other "
    "commands are not run");
ABSL_FLAG(std::string, turn_file, "",
          "file that tells whose turn it is on the device, if the actor shares it with a learner; "
          "empty: it is the actor's alone");
ABSL_FLAG(bool, turns_on_cpu, false,
          "with --turn_file: also where the device is a CPU, which no two processes need share");
ABSL_FLAG(std::string, compute, "bf16", "arithmetic of matrix products: bf16 or fp32");
ABSL_FLAG(std::string, device, "AUTO", "where to compute: AUTO, CPU or CUDA");
ABSL_FLAG(bool, row_invariant, false,
          "on a GPU: what is sampled does not depend on the batch, as model.row_invariant says");

// For `reckon replay`: no coordinator.
ABSL_FLAG(std::string, replay, "",
          "file with a lease and its plan: generate its samples from --model, write them to "
          "--replay_out and end");
ABSL_FLAG(std::string, replay_out, "", "file for the rollouts of --replay");
ABSL_FLAG(std::string, model, "", "model folder for --replay");
ABSL_FLAG(std::string, base, "", "folder of the base model, if --model is an adapter folder");

namespace reckon {
namespace {

template <typename Value>
absl::Status OutOfRange(absl::string_view flag, const Value& value, absl::string_view allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " is ", value, "; allowed: ", allowed));
}

absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_replay).empty()) {
    if (absl::GetFlag(FLAGS_coordinator).empty()) {
      return absl::InvalidArgumentError("--coordinator=HOST:PORT is missing");
    }
    if (const absl::Status s = ParseHostPort(absl::GetFlag(FLAGS_coordinator)).status(); !s.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--coordinator: ", s.message()));
    }
  }
  if (absl::GetFlag(FLAGS_threads) < 0) {
    return OutOfRange("threads", absl::GetFlag(FLAGS_threads), "0 or more");
  }
  if (absl::GetFlag(FLAGS_max_batch) < 0 || absl::GetFlag(FLAGS_max_batch) > 65536) {
    return OutOfRange("max_batch", absl::GetFlag(FLAGS_max_batch), "0 to 65536");
  }
  if (absl::GetFlag(FLAGS_kv_cache_mib) < 0) {
    return OutOfRange("kv_cache_mib", absl::GetFlag(FLAGS_kv_cache_mib), "0 or more");
  }
  ActorSettings::Weights weights;
  if (!ActorSettings::Weights_Parse(absl::GetFlag(FLAGS_weights), &weights)) {
    return OutOfRange("weights", absl::GetFlag(FLAGS_weights), "DRAIN or IN_FLIGHT");
  }
  ActorSettings::OldTokens old_tokens;
  if (!ActorSettings::OldTokens_Parse(absl::GetFlag(FLAGS_old_tokens), &old_tokens)) {
    return OutOfRange("old_tokens", absl::GetFlag(FLAGS_old_tokens), "KEEP or RECOMPUTE");
  }
  const std::string compute = absl::GetFlag(FLAGS_compute);
  if (compute != "bf16" && compute != "fp32") return OutOfRange("compute", compute, "bf16 or fp32");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> RewardCommands() {
  std::vector<std::string> commands;
  const std::string text = absl::GetFlag(FLAGS_reward_commands);
  if (text.empty()) return commands;
  const absl::StatusOr<nlohmann::json> list = ParseJson(text);
  bool texts = list.ok() && list->is_array();
  for (size_t i = 0; texts && i < list->size(); ++i) {
    texts = (*list)[i].is_string();
    if (texts) commands.push_back((*list)[i].get<std::string>());
  }
  if (!texts) return OutOfRange("reward_commands", text, "a JSON array of texts");
  return commands;
}

std::string DefaultName() { return absl::StrCat(MachineName(), "-", getpid()); }

absl::Status Replay(TorchModelRunnerMaker* maker, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(absl::GetFlag(FLAGS_replay)));
  LeaseReply work;
  if (!work.ParseFromString(bytes)) return absl::InvalidArgumentError("--replay: no lease");
  ASSIGN_OR_RETURN(const Weights weights,
                   ReadModelFolder(absl::GetFlag(FLAGS_model), absl::GetFlag(FLAGS_base)));
  ASSIGN_OR_RETURN(const auto tokenizer,
                   Tokenizer::Create(weights.manifest.texts().tokenizer_json(),
                                     weights.manifest.texts().tokenizer_model()));
  ASSIGN_OR_RETURN(const auto runner, maker->Make(weights));
  Engine engine(runner.get(), tokenizer.get(), {.max_batch = absl::GetFlag(FLAGS_max_batch)},
                work.leases_size() > 0 ? work.leases(0).weight_version() : 0);
  ASSIGN_OR_RETURN(const std::vector<Rollout> rollouts, GenerateLease(work, &engine, stop));
  FetchRolloutsReply out;
  for (const Rollout& rollout : rollouts) out.add_rollouts(rollout.SerializeAsString());
  return WriteFileAtomically(absl::GetFlag(FLAGS_replay_out), out.SerializeAsString());
}

absl::Status Run(const Rewarder& rewarder, const std::stop_token& stop) {
  RETURN_IF_ERROR(CheckFlags());
  SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);  // the kernels use our thread pool; OpenMP's threads would only spin

  bool nccl = false;
#ifdef RECKON_CUDA
  // Before there are threads, by network_interface.h.
  if (!absl::GetFlag(FLAGS_listen).empty() && absl::GetFlag(FLAGS_device) != "CPU") {
    ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(absl::GetFlag(FLAGS_listen)));
    ASSIGN_OR_RETURN(const HostPort own, AnnouncedAddress(listen, absl::GetFlag(FLAGS_announce)));
    nccl = BindCollectives(own.host).ok();
  }
#endif

  TorchModelRunnerOptions runner;
  runner.fp32 = absl::GetFlag(FLAGS_compute) == "fp32";
  runner.kv_cache_bytes = int64_t{absl::GetFlag(FLAGS_kv_cache_mib)} << 20;
  runner.max_batch = absl::GetFlag(FLAGS_max_batch);
  ASSIGN_OR_RETURN(const std::unique_ptr<OperatorPorts> ports,
                   OperatorPorts::Open("actor", &ActorMetrics::Process().activity));
  ASSIGN_OR_RETURN(runner.backend,
                   ChooseBackend(absl::GetFlag(FLAGS_device), absl::GetFlag(FLAGS_row_invariant)));
  TorchModelRunnerMaker maker(runner);
  if (!absl::GetFlag(FLAGS_replay).empty()) return Replay(&maker, stop);

  ActorOptions options;
  options.name = absl::GetFlag(FLAGS_name).empty() ? DefaultName() : absl::GetFlag(FLAGS_name);
  options.engine.max_batch = absl::GetFlag(FLAGS_max_batch);
  options.fetch.packed_layout =
      PackedForm(runner.fp32 ? Dtype::kFp32 : Dtype::kBf16, runner.backend).Layout();
  CHECK(ActorSettings::Weights_Parse(absl::GetFlag(FLAGS_weights), &options.weights));
  CHECK(ActorSettings::OldTokens_Parse(absl::GetFlag(FLAGS_old_tokens), &options.old_tokens));
  ASSIGN_OR_RETURN(options.reward_commands, RewardCommands());
  ASSIGN_OR_RETURN(options.security,
                   Security::Load(absl::GetFlag(FLAGS_certificates), Role::kActor));
  ASSIGN_OR_RETURN(const auto channel,
                   MakeChannel(absl::GetFlag(FLAGS_coordinator), options.security));
  const std::unique_ptr<Coordinator::Stub> stub = Coordinator::NewStub(channel);
  std::unique_ptr<WeightServer> server;
  if (const std::string& listen = absl::GetFlag(FLAGS_listen); !listen.empty()) {
    ASSIGN_OR_RETURN(server,
                     WeightServer::Start(listen, options.security, absl::GetFlag(FLAGS_announce)));
    auto receiver = std::make_shared<BroadcastReceiver>(
        BroadcastReceiverOptions{.member = server->address(),
                                 .gpu = nccl && runner.backend == Backend::kTorchCuda,
                                 .security = options.security});
    options.fetch.receive = [receiver](const WeightManifest& manifest, char* buffer,
                                       const std::stop_token& token,
                                       const std::function<void(uint64_t)>& good) {
      receiver->Receive(manifest, buffer, token, good);
    };
  }
  std::optional<SharedDevice> shared;
  const bool turns = runner.backend == Backend::kTorchCuda || absl::GetFlag(FLAGS_turns_on_cpu);
  if (const std::string& file = absl::GetFlag(FLAGS_turn_file); !file.empty() && turns) {
    shared.emplace();
    ASSIGN_OR_RETURN(shared->turn, DeviceTurn::Open(file));
    shared->take = [&maker](const std::string& left) { maker.TakeDevice(left); };
    shared->leave = [&maker] { maker.LeaveDevice(); };
  }
  Actor actor(
      options, stub.get(), [&maker](const Weights& weights) { return maker.Make(weights); },
      &rewarder, stop, std::move(server), std::move(shared));
  return actor.Run();
}

}  // namespace

int RunActor(int argc, char** argv, const Rewarder& rewarder) {
  PrepareHostMemory();
  std::stop_source stop;
  StopOnSignals(stop);
  ParseProgramFlags(argc, argv, "reckon-actor --coordinator=HOST:PORT [--name=NAME] ...");
  InitLogging(argv[0]);
  const absl::Status status = Run(rewarder, stop.get_token());
  if (!status.ok()) std::cerr << "reckon-actor: " << status.message() << "\n";
  return ExitStatus(status);
}

}  // namespace reckon
