#ifndef RECKON_CLI_COMMANDS_SCORE_H_
#define RECKON_CLI_COMMANDS_SCORE_H_

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "cli/launcher/local_session.h"
#include "common/base/stop.h"

namespace reckon {

struct ScoreOptions : ProblemOptions {};

// `reckon score`: the log-probabilities of the worked solutions (or answers) of the data under a
// model, one JSON line for each problem, in the order of the data. Problems that do not fit are
// refused, or with --overlong count-wrong named on stderr; `index` counts those that are scored.
absl::Status Score(const ScoreOptions& options, std::stop_token stop);

// Its flags.
CommandRun AddScore(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_SCORE_H_
