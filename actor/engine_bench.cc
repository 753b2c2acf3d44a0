// reckon-engine-bench: measures the batch engine on a model folder. Prints one JSON object.
// "product_share", of a CPU, is the time that its products alone would take at the speed of one
// large product, as a share of the time that the engine took.

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actor/engine/engine.h"
#include "actor/runner/torch_model_runner.h"
#include "common/base/program_flags.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/device_memory.h"
#include "common/model/files/model_folder.h"
#include "common/model/model_shape.h"
#include "common/model/product_speed.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, model, "", "model folder in Hugging Face layout");
ABSL_FLAG(int, prompts, 24, "prompt groups");
ABSL_FLAG(int, samples, 4, "samples per prompt");
ABSL_FLAG(int, prompt_tokens, 71, "tokens in each prompt");
ABSL_FLAG(int, new_tokens, 128, "tokens drawn in each sample; there are no stop tokens");
ABSL_FLAG(double, temperature, 1, "sampling temperature");
ABSL_FLAG(int, max_batch, 96, "samples generated at once");
ABSL_FLAG(int, kv_cache_mib, 0,
          "memory for keys and values, in MiB; 0: 1024 on a CPU, on a GPU what is left");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");
ABSL_FLAG(std::string, compute, "bf16", "arithmetic of matrix products: bf16 or fp32");
ABSL_FLAG(std::string, device, "AUTO", "AUTO, CPU or CUDA, as model.device of a config");
ABSL_FLAG(bool, row_invariant, false, "as model.row_invariant of a config");

namespace reckon {
namespace {

constexpr char kStory[] =
    "Question: A farmer has 48 apple trees and each tree gives 25 apples in a year. He sells three "
    "quarters of the apples at 2 dollars each and makes juice of the rest. How many dollars does "
    "he get for the apples, and how many apples are left for the juice? Let us think step by step "
    "and write the answer at the end.\nAnswer:";

Lease MakeLease(const Tokenizer& tokenizer, uint64_t group) {
  std::vector<uint32_t> prompt = *tokenizer.Encode(absl::StrCat("Problem ", 1000 + group, ". "));
  const std::vector<uint32_t> story = *tokenizer.Encode(kStory);
  const size_t size = absl::GetFlag(FLAGS_prompt_tokens);
  while (prompt.size() < size) prompt.insert(prompt.end(), story.begin(), story.end());
  prompt.resize(size);
  Lease lease;
  lease.set_id(group);
  lease.set_plan("bench");
  lease.mutable_item()->set_group(group);
  lease.mutable_item()->mutable_prompt_tokens()->Add(prompt.begin(), prompt.end());
  for (int i = 0; i < absl::GetFlag(FLAGS_samples); ++i) lease.add_samples(i);
  return lease;
}

absl::Status Run() {
  const absl::Time begin = absl::Now();
  ASSIGN_OR_RETURN(Weights weights, ReadModelFolder(absl::GetFlag(FLAGS_model)));
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Create(weights.manifest.texts().tokenizer_json(),
                                                     weights.manifest.texts().tokenizer_model()));
  ASSIGN_OR_RETURN(const ModelConfig config, ModelShape(weights.texts()));
  TorchModelRunnerOptions runner_options;
  ASSIGN_OR_RETURN(runner_options.backend,
                   ChooseBackend(absl::GetFlag(FLAGS_device), absl::GetFlag(FLAGS_row_invariant)));
  runner_options.fp32 = absl::GetFlag(FLAGS_compute) == "fp32";
  runner_options.kv_cache_bytes = int64_t{absl::GetFlag(FLAGS_kv_cache_mib)} << 20;
  runner_options.max_batch = absl::GetFlag(FLAGS_max_batch);
  TorchModelRunnerMaker maker(runner_options);
  ASSIGN_OR_RETURN(std::unique_ptr<ModelRunner> runner, maker.Make(weights));
  weights.bytes = nullptr;
  EngineOptions options;
  options.max_batch = absl::GetFlag(FLAGS_max_batch);
  Engine engine(runner.get(), tokenizer.get(), options);

  auto plan = std::make_shared<PlanSpec>();
  plan->mutable_sampling()->set_temperature(absl::GetFlag(FLAGS_temperature));
  plan->mutable_sampling()->set_top_p(1);
  plan->mutable_sampling()->set_max_new_tokens(absl::GetFlag(FLAGS_new_tokens));
  const absl::Time loaded = absl::Now();
  for (int group = 0; group < absl::GetFlag(FLAGS_prompts); ++group) {
    RETURN_IF_ERROR(engine.Admit(MakeLease(*tokenizer, group), plan));
  }
  while (!engine.idle()) RETURN_IF_ERROR(engine.RunPass().status());
  const double seconds = absl::ToDoubleSeconds(absl::Now() - loaded);

  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const EngineStats& stats = engine.stats();
  std::cout << "{\"sampled_tokens_per_s\": " << stats.sampled_tokens / seconds
            << ", \"sampled_tokens\": " << stats.sampled_tokens
            << ", \"prefilled_tokens\": " << stats.prefilled_tokens
            << ", \"decode_passes\": " << stats.decode_passes << ", \"seconds\": " << seconds;
  if (runner_options.backend == Backend::kCpuKernels) {
    const Dtype dtype = runner_options.fp32 ? Dtype::kFp32 : Dtype::kBf16;
    const double product =
        ProductSpeed(dtype, engine.max_batch(), config.hidden_size, 2 * config.intermediate_size);
    const auto sampled = static_cast<double>(stats.sampled_tokens);
    const double rows = sampled + static_cast<double>(stats.prefilled_tokens);
    const double operations = 2 * (rows * static_cast<double>(LayerProducts(config)) +
                                   sampled * static_cast<double>(HeadProducts(config)));
    std::cout << ", \"product_gflop_per_s\": " << product * 1e-9
              << ", \"product_share\": " << operations / seconds / product;
  }
  std::cout << ", \"load_seconds\": " << absl::ToDoubleSeconds(loaded - begin)
            << ", \"peak_rss_mib\": " << usage.ru_maxrss / 1024
            << ", \"threads\": " << ComputeThreads() << ", \"compute\": \""
            << absl::GetFlag(FLAGS_compute) << "\", \"max_batch\": " << engine.max_batch()
            << ", \"row_invariant\": " << (absl::GetFlag(FLAGS_row_invariant) ? "true" : "false")
            << ", \"device\": \"" << DeviceOf(runner_options.backend) << "\"}\n";
  return absl::OkStatus();
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  reckon::PrepareHostMemory();
  reckon::ParseProgramFlags(argc, argv, "reckon-engine-bench --model=FOLDER [--prompts=N ...]");
  reckon::InitLogging(argv[0]);
  reckon::SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);
  const absl::Status status = reckon::Run();
  if (!status.ok()) std::cerr << "reckon-engine-bench: " << status << "\n";
  return status.ok() ? 0 : 1;
}
