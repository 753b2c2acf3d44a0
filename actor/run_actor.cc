#include "actor/run_actor.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "actor/actor.h"
#include "actor/policy/torch_policy.h"
#include "common/base/memory.h"
#include "common/base/stop_token.h"
#include "common/model/ops/thread_pool.h"
#include "common/net/channel.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, coordinator, "", "host:port of the coordinator");
ABSL_FLAG(std::string, name, "", "name of this actor, unique in the run (default: host and pid)");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");
ABSL_FLAG(int, max_batch, 64, "samples generated at once");
ABSL_FLAG(int, kv_cache_mib, 1024, "memory for keys and values, in MiB");
ABSL_FLAG(std::string, compute, "bf16", "arithmetic of matrix products: bf16 or fp32");
ABSL_FLAG(std::string, device, "AUTO", "where to compute, model.device: AUTO, CPU or CUDA");

namespace {

// Empty: the flags are good.
std::string WrongFlag() {
  if (absl::GetFlag(FLAGS_coordinator).empty()) return "--coordinator=HOST:PORT is missing";
  if (absl::GetFlag(FLAGS_threads) < 0) return "--threads must be 0 or more";
  if (absl::GetFlag(FLAGS_max_batch) < 1 || absl::GetFlag(FLAGS_max_batch) > 65536) {
    return "--max_batch must be from 1 to 65536";
  }
  if (absl::GetFlag(FLAGS_kv_cache_mib) < 1) return "--kv_cache_mib must be 1 or more";
  const std::string compute = absl::GetFlag(FLAGS_compute);
  if (compute != "bf16" && compute != "fp32") return "--compute must be bf16 or fp32";
  return "";
}

std::string DefaultName() {
  char host[256] = "actor";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "-", getpid());
}

}  // namespace

namespace reckon {

int RunActor(int argc, char** argv, const Rewarder& rewarder) {
  KeepFreedMemory();
  StopToken stop;
  StopOnSignals(&stop);
  absl::SetProgramUsageMessage("reckon-actor --coordinator=HOST:PORT [--name=NAME] ...");
  absl::ParseCommandLine(argc, argv);
  InitLogging(argv[0]);
  if (const std::string wrong = WrongFlag(); !wrong.empty()) {
    std::cerr << "reckon-actor: " << wrong << "\n";
    return 1;
  }
  SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);  // OpenMP's threads spin; the kernels have their own

  TorchPolicyOptions policy;
  policy.fp32 = absl::GetFlag(FLAGS_compute) == "fp32";
  policy.kv_cache_bytes = int64_t{absl::GetFlag(FLAGS_kv_cache_mib)} << 20;
  const absl::StatusOr<Backend> backend = ChooseBackend(absl::GetFlag(FLAGS_device));
  if (!backend.ok()) {
    std::cerr << "reckon-actor: " << backend.status().message() << "\n";
    return 1;
  }
  policy.backend = *backend;
  TorchPolicyMaker maker(policy);

  ActorOptions options;
  options.name = absl::GetFlag(FLAGS_name).empty() ? DefaultName() : absl::GetFlag(FLAGS_name);
  options.engine.max_batch = absl::GetFlag(FLAGS_max_batch);
  auto channel = MakeChannel(absl::GetFlag(FLAGS_coordinator));
  auto stub = Coordinator::NewStub(channel);
  Actor actor(
      options, stub.get(), [&maker](const Weights& w) { return maker.Make(w); }, &rewarder, &stop);
  const absl::Status status = actor.Run();
  if (!status.ok()) std::cerr << "reckon-actor: " << status << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace reckon
