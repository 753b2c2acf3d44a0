#ifndef RECKON_CLI_COMMANDS_SCORE_REWARDS_H_
#define RECKON_CLI_COMMANDS_SCORE_REWARDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"
#include "proto/config.pb.h"

namespace reckon {

struct ScoreRewardsOptions {
  std::string what;              // a config (config_file.h), or data: a file of problems, builtin
  std::vector<std::string> set;  // of a config
  std::vector<std::string> rewards;  // with data: RewardSpecs as textproto
  std::string command;               // with data: that of a PROCESS reward
  std::string completions;           // JSONL; empty: the worked solutions of the data
  std::string certificates;          // of a user, for SERVICE
  std::string question_key = DataSettings().question_key();  // of data
  std::string answer_key = DataSettings().answer_key();
  bool train = false;  // of a config: data.train, not data.eval
  uint64_t limit = 0;  // answers; 0: all
  bool each = false;   // a JSON line for each answer
  bool json = false;   // one JSON object
};

// `reckon score-rewards`: computes the rewards of a config, or given ones, for answers that are
// there already, as an actor would, to try a reward before a run. Prints for each reward its mean,
// verdicts, failed attempts and speed. INTERNAL: some answers could not be scored.
absl::Status ScoreRewards(const ScoreRewardsOptions& options, const std::stop_token& stop);

// Its flags.
CommandRun AddScoreRewards(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_SCORE_REWARDS_H_
