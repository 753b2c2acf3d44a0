// reckon-engine-bench: measures the batch engine on a model folder, or on random weights of a known
// shape. Prints one JSON object. "roofline_share" is the least time that this machine would need,
// by its own measured rates of copies and products, divided by the time that the engine took.

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actor/engine/engine.h"
#include "actor/runner/torch_model_runner.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/files/model_folder.h"
#include "common/model/init/new_tokenizer.h"
#include "common/model/init/random_model.h"
#include "common/model/model_shape.h"
#include "common/model/product_speed.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, model, "", "model folder in Hugging Face layout");
ABSL_FLAG(std::string, shape, "",
          "in place of --model, random weights of this shape: smollm2-135m, qwen2.5-1.5b (without "
          "biases) or llama-2-7b");
ABSL_FLAG(std::string, device, "CPU", "where to compute: AUTO, CPU or CUDA");
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

absl::StatusOr<ModelConfig> ShapeOf(const std::string& name) {
  ModelConfig c;
  if (name == "smollm2-135m") {
    c.vocab_size = 49152;
    c.hidden_size = 576;
    c.intermediate_size = 1536;
    c.num_layers = 30;
    c.num_heads = 9;
    c.num_kv_heads = 3;
    c.head_dim = 64;
    c.max_positions = 8192;
    c.tie_word_embeddings = true;
  } else if (name == "qwen2.5-1.5b") {
    c.vocab_size = 151936;
    c.hidden_size = 1536;
    c.intermediate_size = 8960;
    c.num_layers = 28;
    c.num_heads = 12;
    c.num_kv_heads = 2;
    c.head_dim = 128;
    c.max_positions = 32768;
    c.tie_word_embeddings = true;
  } else if (name == "llama-2-7b") {
    c.vocab_size = 32000;
    c.hidden_size = 4096;
    c.intermediate_size = 11008;
    c.num_layers = 32;
    c.num_heads = c.num_kv_heads = 32;
    c.head_dim = 128;
    c.max_positions = 4096;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--shape is ", name, "; allowed: smollm2-135m, qwen2.5-1.5b and llama-2-7b"));
  }
  return c;
}

// Random weights with a tokenizer of as many tokens, because a model has no logit where there is no
// token.
absl::StatusOr<Weights> RandomWeightsOf(const std::string& shape) {
  ASSIGN_OR_RETURN(const ModelConfig config, ShapeOf(shape));
  std::vector<std::string> tokens;
  for (char c = '!'; c <= '~'; ++c) tokens.emplace_back(1, c);
  std::vector<std::pair<std::string, std::string>> merges;
  const size_t letters = tokens.size(), wanted = config.vocab_size - kNewTokenizerBytes;
  for (size_t first = 0; merges.size() < wanted; ++first) {
    for (size_t second = 0; second < letters && merges.size() < wanted; ++second) {
      merges.emplace_back(tokens[first], tokens[second]);
      tokens.push_back(tokens[first] + tokens[second]);
    }
  }
  WeightManifest manifest = RandomModelManifest(config);
  manifest.set_tokenizer_json(NewTokenizerJson(merges));
  manifest.set_tokenizer_config_json(NewTokenizerConfigJson());
  return DrawWeights(std::move(manifest), /*seed=*/1);
}

// The least seconds: either all bytes are moved or all operations done, whatever is slower. Every
// pass reads the weights; every token reads the keys and values before it and writes its own.
double LeastSeconds(const ModelConfig& config, const EngineStats& stats, double samples,
                    int64_t element, double operations, const DeviceSpeed& speed) {
  const double prompt = absl::GetFlag(FLAGS_prompt_tokens), drawn = absl::GetFlag(FLAGS_new_tokens);
  const double per_token = 2.0 * static_cast<double>(config.num_layers * config.num_kv_heads *
                                                     config.head_dim * element);
  const double read = samples * drawn * (prompt + drawn / 2);
  const double written = static_cast<double>(stats.sampled_tokens + stats.prefilled_tokens);
  const double weights =
      static_cast<double>((LayerProducts(config) + HeadProducts(config)) * element);
  const double bytes =
      static_cast<double>(stats.decode_passes) * weights + (read + written) * per_token;
  return std::max(bytes / speed.bytes, operations / speed.operations);
}

absl::Status Run() {
  const absl::Time begin = absl::Now();
  const std::string shape = absl::GetFlag(FLAGS_shape);
  absl::StatusOr<Weights> read =
      shape.empty() ? ReadModelFolder(absl::GetFlag(FLAGS_model)) : RandomWeightsOf(shape);
  RETURN_IF_ERROR(read.status());
  Weights weights = *std::move(read);
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Create(weights.manifest.tokenizer_json(),
                                                     weights.manifest.tokenizer_model()));
  ASSIGN_OR_RETURN(const ModelConfig config, ModelShape(weights.manifest));
  TorchModelRunnerOptions runner_options;
  ASSIGN_OR_RETURN(runner_options.backend, ChooseBackend(absl::GetFlag(FLAGS_device)));
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

  const Dtype dtype = runner_options.fp32 ? Dtype::kFp32 : Dtype::kBf16;
  const DeviceSpeed speed = MeasureDevice(runner_options.backend, dtype);
  const double product = runner_options.backend == Backend::kCpuKernels
                             ? ProductSpeed(dtype, engine.max_batch(), config.hidden_size,
                                            2 * config.intermediate_size)
                             : speed.operations;
  const auto sampled = static_cast<double>(engine.stats().sampled_tokens);
  const double operations = 2 * ((sampled + static_cast<double>(engine.stats().prefilled_tokens)) *
                                     static_cast<double>(LayerProducts(config)) +
                                 sampled * static_cast<double>(HeadProducts(config)));
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const EngineStats& stats = engine.stats();
  std::cout << "{\"sampled_tokens_per_s\": " << stats.sampled_tokens / seconds
            << ", \"sampled_tokens\": " << stats.sampled_tokens
            << ", \"prefilled_tokens\": " << stats.prefilled_tokens
            << ", \"decode_passes\": " << stats.decode_passes << ", \"seconds\": " << seconds
            << ", \"product_gflop_per_s\": " << product * 1e-9
            << ", \"product_share\": " << operations / seconds / product
            << ", \"copy_gb_per_s\": " << speed.bytes * 1e-9 << ", \"roofline_share\": "
            << LeastSeconds(config, stats,
                            absl::GetFlag(FLAGS_prompts) * absl::GetFlag(FLAGS_samples),
                            BytesOf(dtype), operations, speed) /
                   seconds
            << ", \"load_seconds\": " << absl::ToDoubleSeconds(loaded - begin)
            << ", \"peak_rss_mib\": " << usage.ru_maxrss / 1024
            << ", \"threads\": " << ComputeThreads() << ", \"compute\": \""
            << absl::GetFlag(FLAGS_compute) << "\", \"max_batch\": " << engine.max_batch()
            << ", \"device\": \"" << DeviceOf(runner_options.backend) << "\"}\n";
  return absl::OkStatus();
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("reckon-engine-bench --model=FOLDER|--shape=NAME [--prompts=N ...]");
  absl::ParseCommandLine(argc, argv);
  reckon::InitLogging(argv[0]);
  reckon::SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);
  const absl::Status status = reckon::Run();
  if (!status.ok()) std::cerr << "reckon-engine-bench: " << status << "\n";
  return status.ok() ? 0 : 1;
}
