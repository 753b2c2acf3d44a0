#ifndef RECKON_CLI_COMMANDS_SFT_H_
#define RECKON_CLI_COMMANDS_SFT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"
#include "proto/config.pb.h"

namespace reckon {

// Defaults are those of the schema.
struct SftOptions {
  std::string model, base, data, eval_data, output, format = "plain";
  std::string system_prompt, chat_template_kwargs;
  uint32_t epochs = TrainingSettings().epochs();
  uint32_t batch_size = TrainingSettings().batch_size();
  uint32_t limit = SftSettings().limit();
  uint32_t ranks = ResourceSettings().learner_ranks();
  double learning_rate = TrainingSettings().learning_rate();
  double min_learning_rate = TrainingSettings().min_learning_rate();
  std::vector<std::string> set;  // other settings of a config, KEY=VALUE
  bool resume = false;
};

// `reckon sft`: a run with one sft stage, from flags instead of a config file.
absl::Status Sft(const SftOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddSft(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_SFT_H_
