#ifndef RECKON_CLI_COMMANDS_EVAL_H_
#define RECKON_CLI_COMMANDS_EVAL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "cli/launcher/local_session.h"
#include "common/base/stop.h"
#include "proto/config.pb.h"

namespace reckon {

// Defaults are those of the schema.
struct EvalOptions : ProblemOptions {
  uint32_t samples = EvalSettings().samples();  // per problem; 0: greedy only
  uint32_t max_new_tokens = EvalSettings().max_new_tokens();
  double temperature = EvalSettings().temperature();
  std::string reward = "strict";  // or "flexible"
  std::string orm;                // folder of a reward model; empty: no rerank@K
  uint64_t seed = 0;
  bool json = false;
};

// `reckon eval`: samples answers to the problems and prints maj@1, and with samples maj@K, pass@K
// and rerank@K, with 95 % intervals. With `command`, that program tells right from wrong. Progress
// goes to stderr.
absl::Status Eval(const EvalOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddEval(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_EVAL_H_
