#ifndef RECKON_CLI_COMMANDS_REPLAY_H_
#define RECKON_CLI_COMMANDS_REPLAY_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/commands/command.h"
#include "common/base/stop.h"
#include "common/text/tokenizer.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

struct ReplayOptions {
  std::string run;  // run directory
  std::string key;  // "PLAN/GROUP/SAMPLE"; a plan's name may have slashes too
};

// `reckon replay`: generates a rollout again from its key, the weight version and the plan, in a
// process of its own, and says whether it is the same. NOT_FOUND: no such rollout, or the folder of
// its version was not kept. DATA_LOSS: it is another one.
absl::Status ReplayRollout(const ReplayOptions& options, std::stop_token stop);

// Its parts that need no process.
std::optional<RolloutKey> ParseRolloutKey(absl::string_view text);
// What the rollout was leased as. INVALID_ARGUMENT: it was sampled by several versions, so that it
// depends on when they changed.
absl::StatusOr<LeaseReply> WorkOf(const Rollout& rollout, const PlanSpec& plan);
// Where `again` differs from what was recorded, for humans; empty: nowhere.
std::string Difference(const Rollout& recorded, const Rollout& again, const Tokenizer& tokenizer);

// Its flags.
CommandRun AddReplay(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_REPLAY_H_
