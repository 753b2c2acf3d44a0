#include "cli/commands/serve.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/flags.h"
#include "cli/estimate/actor_memory.h"
#include "cli/launcher/local_gpus.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/shell.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/status_macros.h"
#include "common/model/files/model_folder.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

absl::Status AsFlag(absl::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(flag, ": ", status.message()));
}

// The model's folder, not a link to it such as a run's `best`: the server names the model after it.
std::string ModelFolder(const ServeOptions& options) {
  const std::string path = AbsolutePath(options.model);
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(path, error);
  return error ? path : folder.string();
}

std::vector<std::string> ServerCommand(const ServeOptions& options) {
  std::vector<std::string> argv = {ProgramsFolder() + "/reckon-server",
                                   "--model=" + ModelFolder(options), "--listen=" + options.listen};
  const auto add = [&argv](absl::string_view flag, const std::string& value) {
    if (!value.empty()) argv.push_back(absl::StrCat("--", flag, "=", value));
  };
  add("base", AbsolutePath(options.base));
  add("name", options.name);
  add("api_key_file", AbsolutePath(options.api_key_file));
  add("chat_template_kwargs", options.chat_template_kwargs);
  add("threads", absl::StrCat(options.threads));
  add("max_batch", absl::StrCat(options.max_batch));
  add("kv_cache_mib", absl::StrCat(options.kv_cache_mib));
  add("max_requests", absl::StrCat(options.max_requests));
  add("request_seconds", absl::StrCat(options.request_seconds));
  add("drain_seconds", absl::StrCat(options.drain_seconds));
  add("compute", options.fp32 ? "fp32" : "bf16");
  if (options.row_invariant) argv.push_back("--row_invariant");
  return argv;
}

void PrintPlan(const ServeOptions& options, const ModelSize& model,
               const std::vector<std::string>& argv) {
  RunConfig config;
  config.mutable_actor()->set_max_batch(options.max_batch);
  config.mutable_actor()->set_kv_cache_mib(options.kv_cache_mib);
  config.mutable_model()->set_compute(options.fp32 ? ModelSettings::FP32 : ModelSettings::BF16);
  const Placement placement = ComputesOnGpu(config) ? Placement::kGpu : Placement::kCpu;
  const MemoryEstimate memory = ServerMemory(config, model, placement);
  std::cout << "model: " << ModelFolder(options) << ", " << FormatCount(ParameterCount(model.shape))
            << " parameters, a context of " << model.shape.max_positions << " tokens\n"
            << "address: http://" << options.listen << "/v1, "
            << (options.api_key_file.empty() ? "for this machine alone" : "for holders of a key")
            << "\nmemory, about\n";
  for (const MemoryLine& line : memory.lines) {
    std::cout << absl::StrFormat("  %-20s %10s   %s\n", line.what, FormatBytes(line.bytes),
                                 line.why);
  }
  const auto available = static_cast<double>(ReadMachineLimits().available_memory_bytes);
  std::cout << absl::StrFormat("  %-20s %10s", "in all", FormatBytes(memory.total()));
  if (placement == Placement::kCpu) std::cout << "   of " << FormatBytes(available) << " available";
  std::vector<std::string> quoted;
  for (const std::string& word : argv) quoted.push_back(ShellQuoted(word));
  std::cout << "\ncommand: " << absl::StrJoin(quoted, " ") << "\n";
}

}  // namespace

absl::Status Serve(const ServeOptions& options) {
  const absl::StatusOr<HostPort> listen = ParseHostPort(options.listen);
  if (!listen.ok()) return AsFlag("--listen", listen.status());
  if (!listen->is_loopback() && options.api_key_file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen ", options.listen, " is reached from other machines and needs ",
                     "--api-key-file; without it give an address of 127.0.0.1"));
  }
  const absl::StatusOr<ModelListing> listing =
      ReadModelListing(AbsolutePath(options.model), AbsolutePath(options.base));
  if (!listing.ok()) return AsFlag("--model", listing.status());
  const std::vector<std::string> argv = ServerCommand(options);
  if (options.dry_run) {
    ModelSize model = {.weight_bytes = listing->manifest.total_bytes()};
    ASSIGN_OR_RETURN(model.shape, ModelConfig::Parse(listing->manifest.texts().config_json()));
    PrintPlan(options, model, argv);
    return absl::OkStatus();
  }
  std::cout.flush();
  std::vector<char*> arguments;
  for (const std::string& word : argv) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  return absl::NotFoundError(absl::StrCat("cannot run ", argv[0], ": ", std::strerror(errno)));
}

CommandRun AddServe(CLI::App* app) {
  const auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app->add_subcommand(
      "serve", "Serve a model over HTTP, in the form of OpenAI's API (docs/serve.md)");
  command->add_option("--model", options->model, "model folder (Hugging Face layout)")->required();
  command->add_option("--base", options->base,
                      "folder of the base model, if --model is an adapter folder of PEFT");
  command->add_option(
      "--name", options->name,
      "name of the model in requests; default: that of its folder, also for a link to it");
  command->add_option("--listen", options->listen, "HOST:PORT; port 0: any free one")
      ->capture_default_str();
  command->add_option("--api-key-file", options->api_key_file,
                      "file of the keys of which a request shows one; needed beyond loopback");
  command->add_option("--chat-template-kwargs", options->chat_template_kwargs,
                      "variables of the chat template as a JSON object, "
                      "'{\"enable_thinking\": false}'");
  AddEngineOptions(command, &options->threads, &options->max_batch, &options->kv_cache_mib,
                   &options->fp32);
  command
      ->add_option("--max-requests", options->max_requests,
                   "unfinished requests; a further one gets 429")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      ->add_option("--request-seconds", options->request_seconds,
                   "longest time from a request's arrival to its end")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command
      ->add_option("--drain-seconds", options->drain_seconds,
                   "when it is stopped, time for the requests that it has")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  command->add_flag("--row-invariant", options->row_invariant,
                    "on a GPU: an answer does not depend on the requests beside it; takes longer");
  command->add_flag("--dry-run", options->dry_run,
                    "print model, memory and command, and start nothing");
  command->footer(
      "Plain HTTP, for this machine alone unless --listen says otherwise. Examples:\n"
      "  reckon serve --model models/smollm2-135m\n"
      "  reckon serve --model runs/quickstart/best --name my-model --listen 127.0.0.1:9000\n"
      "  reckon serve --model models/smollm2-135m --listen 0.0.0.0:8000 --api-key-file keys");
  return [options](std::stop_token) { return Serve(*options); };
}

}  // namespace reckon
