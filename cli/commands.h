#ifndef RECKON_CLI_COMMANDS_H_
#define RECKON_CLI_COMMANDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/stop_token.h"
#include "proto/config.pb.h"

namespace reckon {

// One function a subcommand. Results go to stdout, progress to stderr where stdout is the result.
// Errors are one line that names the file, flag or config key and the fix; CANCELLED: stopped by a
// signal.

struct TrainOptions {
  std::string config;
  std::vector<std::string> set;
  bool dry_run = false;
  bool resume = false;
};
absl::Status Train(const TrainOptions& options, const StopToken* stop);

struct SftOptions {
  std::string model, data, eval_data, output, format = "plain";
  uint32_t epochs = 2, batch_size = 32, limit = 0, ranks = 1;
  double learning_rate = 1e-4;
  bool resume = false;
};
absl::Status Sft(const SftOptions& options, const StopToken* stop);

// What eval and score share: a model, problems, and how they are asked.
struct ProblemOptions {
  std::string model, data, examples, format = "plain";
  std::string question_key = "question", answer_key = "answer", body_key;
  uint32_t few_shot = 2, limit = 0;
  uint32_t threads = 0, max_batch = 64, kv_cache_mib = 1024;
  bool fp32 = false;
};

struct EvalOptions : ProblemOptions {
  uint32_t samples = 4, max_new_tokens = 256;
  double temperature = 0.7;
  std::string reward = "strict", orm;
  uint64_t seed = 0;
  bool json = false;
};
absl::Status Eval(const EvalOptions& options, const StopToken* stop);

struct ScoreOptions : ProblemOptions {};
absl::Status Score(const ScoreOptions& options, const StopToken* stop);

struct ShowOptions {
  std::string run, plan;
  uint64_t limit = 5;
  bool wrong = false, correct = false;
};
absl::Status Show(const ShowOptions& options, const StopToken* stop);

absl::Status Doctor(const StopToken* stop);

// Runs a config that is resolved and checked. `how_to_resume` is what to type after Ctrl-C.
absl::Status TrainConfig(RunConfig config, bool resume, const std::string& how_to_resume,
                         const StopToken* stop);

// Prints the config, the plan of stages, memory and disk, and what could not be checked.
absl::Status DryRun(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_H_
