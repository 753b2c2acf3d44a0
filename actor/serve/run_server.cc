#include "actor/serve/run_server.h"

#include <ATen/Parallel.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actor/runner/torch_model_runner.h"
#include "actor/serve/api_server.h"
#include "actor/serve/batcher.h"
#include "actor/serve/served_model.h"
#include "common/base/exit_status.h"
#include "common/base/program_flags.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
#include "common/base/thread_pool.h"
#include "common/model/device_memory.h"
#include "common/model/files/model_folder.h"
#include "common/net/secret_file.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, model, "", "model folder (Hugging Face layout), or adapter folder of PEFT");
ABSL_FLAG(std::string, base, "", "folder of the base model, if --model is an adapter folder");
ABSL_FLAG(std::string, name, "", "name of the model in requests; default: that of its folder");
ABSL_FLAG(std::string, listen, "127.0.0.1:8000", "host:port to listen on; port 0: any free one");
ABSL_FLAG(std::string, api_key_file, "",
          "file of the keys that requests must show, one a line; needed beyond loopback");
ABSL_FLAG(std::string, chat_template_kwargs, "", "variables of the chat template, a JSON object");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");
ABSL_FLAG(int, max_batch, 0,
          "choices generated at once; 0: 64, and on a GPU as many as the KV cache has room for");
ABSL_FLAG(int, max_requests, 256, "unfinished requests; a further one gets 429");
ABSL_FLAG(int, request_seconds, 600, "longest time from a request's arrival to its end");
ABSL_FLAG(int, drain_seconds, 30, "when it is stopped, time for the requests that it has");
ABSL_FLAG(int, kv_cache_mib, 0,
          "memory for keys and values, in MiB; 0: 1024 on a CPU, on a GPU what is left");
ABSL_FLAG(std::string, compute, "bf16", "arithmetic of matrix products: bf16 or fp32");
ABSL_FLAG(std::string, device, "AUTO", "where to compute: AUTO, CPU or CUDA");
ABSL_FLAG(bool, row_invariant, false,
          "on a GPU: an answer does not depend on the requests beside it; takes longer");

namespace reckon {
namespace {

constexpr size_t kMaxKeys = 1024;

absl::Status CheckAtLeast(absl::string_view flag, int value, int least, int most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " is ", value, "; allowed: ", least, " to ", most));
}

absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_model).empty()) {
    return absl::InvalidArgumentError("--model=FOLDER is missing");
  }
  RETURN_IF_ERROR(CheckAtLeast("threads", absl::GetFlag(FLAGS_threads), 0, 4096));
  RETURN_IF_ERROR(CheckAtLeast("max_batch", absl::GetFlag(FLAGS_max_batch), 0, 65536));
  RETURN_IF_ERROR(CheckAtLeast("max_requests", absl::GetFlag(FLAGS_max_requests), 1, 4096));
  RETURN_IF_ERROR(CheckAtLeast("request_seconds", absl::GetFlag(FLAGS_request_seconds), 1, 86400));
  RETURN_IF_ERROR(CheckAtLeast("drain_seconds", absl::GetFlag(FLAGS_drain_seconds), 0, 86400));
  RETURN_IF_ERROR(CheckAtLeast("kv_cache_mib", absl::GetFlag(FLAGS_kv_cache_mib), 0, 1 << 30));
  const std::string compute = absl::GetFlag(FLAGS_compute);
  if (compute == "bf16" || compute == "fp32") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--compute is ", compute, "; allowed: bf16 or fp32"));
}

absl::StatusOr<ApiServerOptions> ServerOptions() {
  ApiServerOptions options;
  const absl::StatusOr<HostPort> listen = ParseHostPort(absl::GetFlag(FLAGS_listen));
  if (!listen.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--listen: ", listen.status().message()));
  }
  options.listen = *listen;
  options.max_requests = absl::GetFlag(FLAGS_max_requests);
  options.request_time = absl::Seconds(absl::GetFlag(FLAGS_request_seconds));
  if (const std::string& path = absl::GetFlag(FLAGS_api_key_file); !path.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadSecretFile(path, 1 << 20));
    const absl::StatusOr<std::vector<std::string>> keys = ParseTokens(text, kMaxKeys);
    if (!keys.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", keys.status().message()));
    }
    options.api_keys = *keys;
  }
  return options;
}

std::string ModelName() {
  if (const std::string& name = absl::GetFlag(FLAGS_name); !name.empty()) return name;
  std::error_code unreadable;  // ReadModelFolder says why
  std::filesystem::path folder = std::filesystem::absolute(absl::GetFlag(FLAGS_model), unreadable);
  folder = folder.lexically_normal();
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

absl::Status Run(const std::stop_token& stop) {
  RETURN_IF_ERROR(CheckFlags());
  ASSIGN_OR_RETURN(ApiServerOptions server_options, ServerOptions());
  SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);  // the kernels use our thread pool; OpenMP's threads would only spin
  ASSIGN_OR_RETURN(Weights weights,
                   ReadModelFolder(absl::GetFlag(FLAGS_model), absl::GetFlag(FLAGS_base)));
  for (const std::string& note : weights.notes) std::cerr << "reckon-server: " << note << "\n";
  ASSIGN_OR_RETURN(const ServedModel model,
                   ServedModel::Load(weights.manifest.texts(), ModelName(),
                                     absl::GetFlag(FLAGS_chat_template_kwargs)));
  TorchModelRunnerOptions options;
  options.fp32 = absl::GetFlag(FLAGS_compute) == "fp32";
  options.kv_cache_bytes = int64_t{absl::GetFlag(FLAGS_kv_cache_mib)} << 20;
  options.max_batch = absl::GetFlag(FLAGS_max_batch);
  options.ranks = true;
  ASSIGN_OR_RETURN(options.backend,
                   ChooseBackend(absl::GetFlag(FLAGS_device), absl::GetFlag(FLAGS_row_invariant)));
  TorchModelRunnerMaker maker(options);
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelRunner> runner, maker.Make(weights));
  weights = Weights();  // the runner has its own
  Batcher batcher(runner.get(), model.tokenizer.get(),
                  {.engine = {.max_batch = absl::GetFlag(FLAGS_max_batch)},
                   .max_requests = absl::GetFlag(FLAGS_max_requests)});
  ASSIGN_OR_RETURN(const std::unique_ptr<ApiServer> server,
                   ApiServer::Start(std::move(server_options), &model, &batcher));
  std::cout << "http://" << server->address().ToString() << "/v1 serves " << model.name
            << "; Ctrl-C ends this" << std::endl;
  WaitForStop(stop, absl::InfiniteDuration());
  if (batcher.unfinished() > 0) {
    std::cerr << "reckon-server: finishing " << batcher.unfinished() << " requests\n";
  }
  batcher.Drain(absl::Now() + absl::Seconds(absl::GetFlag(FLAGS_drain_seconds)));
  return absl::OkStatus();
}

}  // namespace

int RunServer(int argc, char** argv) {
  PrepareHostMemory();
  std::stop_source stop;
  StopOnSignals(stop);
  ParseProgramFlags(argc, argv, "reckon-server --model=FOLDER [--listen=HOST:PORT] ...");
  InitLogging(argv[0]);
  const absl::Status status = Run(stop.get_token());
  if (!status.ok()) std::cerr << "reckon-server: " << status.message() << "\n";
  return ExitStatus(status);
}

}  // namespace reckon
