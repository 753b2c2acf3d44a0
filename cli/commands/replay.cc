#include "cli/commands/replay.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/process.h"
#include "cli/launcher/run_dir.h"
#include "cli/report/run_reader.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/run_folder.h"
#include "common/model/init/init_model.h"

namespace reckon {
namespace {

// Of everything but the prompt.
struct Drawn {
  std::vector<uint32_t> tokens;
  std::vector<float> logprobs;  // of the sampled ones
};

Drawn DrawnOf(const Rollout& rollout) {
  Drawn drawn;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) continue;
    drawn.tokens.insert(drawn.tokens.end(), span.tokens().begin(), span.tokens().end());
    drawn.logprobs.insert(drawn.logprobs.end(), span.logprobs().begin(), span.logprobs().end());
  }
  return drawn;
}

// The folder of a weight version. Which versions have one is in the error.
absl::StatusOr<std::string> FolderOf(const RunReader& reader, uint64_t version) {
  const Cursor cursor = NewestCursor(reader.run_dir());
  std::vector<uint64_t> kept;
  for (uint64_t v = 0; v <= static_cast<uint64_t>(cursor.folders_size()); ++v) {
    const std::string folder = v == 0 ? BaseModelFolder(reader.config(), reader.run_dir())
                                      : absl::StrCat(reader.run_dir(), "/weights/",
                                                     cursor.folders(static_cast<int>(v) - 1));
    ASSIGN_OR_RETURN(const bool exists, PathExists(folder + "/config.json"));
    if (!exists) continue;
    if (v == version) return folder;
    kept.push_back(v);
  }
  return absl::NotFoundError(
      absl::StrCat("weight version ", version, " has no folder in this run; those that have are ",
                   absl::StrJoin(kept, ", "), " (keep_last and keep_evaluated keep more)"));
}

// Lets an actor without a coordinator do the work.
absl::StatusOr<Rollout> Generate(const LeaseReply& work, const RunConfig& config,
                                 const std::string& model, std::stop_token stop) {
  ASSIGN_OR_RETURN(const std::string folder, MakeTemporaryFolder());
  const absl::Cleanup remove = [&folder] {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  };
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/work", work.SerializeAsString()));
  const std::string log = folder + "/log";
  ASSIGN_OR_RETURN(
      Process actor,
      Process::Start(
          {.name = "actor",
           .argv = {ProgramsFolder() + "/reckon-actor", "--replay=" + folder + "/work",
                    "--replay_out=" + folder + "/rollouts", "--model=" + model,
                    "--base=" + config.model().base(), "--max_batch=1",
                    absl::StrCat("--kv_cache_mib=", config.actor().kv_cache_mib()),
                    absl::StrCat("--compute=",
                                 config.model().compute() == ModelSettings::FP32 ? "fp32" : "bf16"),
                    "--device=" + ModelSettings::Device_Name(config.model().device()),
                    absl::StrCat("--row_invariant=", config.model().row_invariant())},
           .log_path = log}));
  std::optional<int> ended;
  while (!(ended = actor.Wait(absl::Milliseconds(100)))) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
  }
  if (*ended != 0) {
    return absl::InternalError(
        absl::StrCat("reckon-actor ", DescribeExit(*ended), ": ", LastWords(log)));
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(folder + "/rollouts"));
  FetchRolloutsReply reply;
  Rollout rollout;
  if (!reply.ParseFromString(bytes) || reply.rollouts_size() != 1 ||
      !rollout.ParseFromString(reply.rollouts(0))) {
    return absl::InternalError("reckon-actor wrote no rollout");
  }
  return rollout;
}

}  // namespace

std::optional<RolloutKey> ParseRolloutKey(absl::string_view text) {
  std::vector<std::string> parts = absl::StrSplit(text, '/');
  uint64_t group = 0;
  uint32_t sample = 0;
  if (parts.size() < 3 || !absl::SimpleAtoi(parts.back(), &sample) ||
      !absl::SimpleAtoi(parts[parts.size() - 2], &group)) {
    return std::nullopt;
  }
  parts.resize(parts.size() - 2);
  RolloutKey key;
  key.set_plan(absl::StrJoin(parts, "/"));
  key.set_group(group);
  key.set_sample(sample);
  return key;
}

absl::StatusOr<LeaseReply> WorkOf(const Rollout& rollout, const PlanSpec& plan) {
  LeaseReply work;
  *work.add_plans() = plan;
  Lease& lease = *work.add_leases();
  lease.set_plan(rollout.key().plan());
  lease.add_samples(rollout.key().sample());
  WorkItem& item = *lease.mutable_item();
  item.set_group(rollout.key().group());
  std::set<uint64_t> versions;
  bool begun = false;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) *item.mutable_prompt_tokens() = span.tokens();
    if (span.kind() == TokenSpan::SAMPLED || span.logprobs_size() > 0) {
      versions.insert(span.weight_version());
    }
    if (span.kind() == TokenSpan::FORCED && !begun) {
      // What the work item gave; a step label follows it, which the plan gives.
      const int given = span.tokens_size() - plan.step_label_tokens_size();
      for (int i = 0; i < given; ++i) item.add_forced_tokens(span.tokens(i));
    }
    begun |= span.kind() != TokenSpan::PROMPT;
  }
  if (versions.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "weight versions ", absl::StrJoin(versions, ", "), " have drawn this rollout (",
        "actor.weights: IN_FLIGHT), so it depends on when they changed and cannot be repeated"));
  }
  if (!versions.empty()) lease.set_weight_version(*versions.begin());
  return work;
}

std::string Difference(const Rollout& recorded, const Rollout& again, const Tokenizer& tokenizer) {
  const Drawn before = DrawnOf(recorded), after = DrawnOf(again);
  const size_t common = std::min(before.tokens.size(), after.tokens.size());
  for (size_t i = 0; i < common; ++i) {
    if (before.tokens[i] == after.tokens[i]) continue;
    const auto spell = [&](uint32_t token) {
      return absl::StrCat("'", Printable(tokenizer.Decode({token}, false)), "' (", token, ")");
    };
    return absl::StrCat("token ", i, " of the completion was ", spell(before.tokens[i]),
                        " and is now ", spell(after.tokens[i]));
  }
  if (before.tokens.size() != after.tokens.size()) {
    return absl::StrCat("it had ", before.tokens.size(), " tokens and has now ",
                        after.tokens.size());
  }
  if (before.logprobs != after.logprobs) {
    double furthest = 0;
    for (size_t i = 0; i < std::min(before.logprobs.size(), after.logprobs.size()); ++i) {
      furthest = std::max<double>(furthest, std::abs(before.logprobs[i] - after.logprobs[i]));
    }
    return absl::StrFormat("the tokens are the same; log-probabilities differ by up to %.3g",
                           furthest);
  }
  if (recorded.finish() != again.finish() || recorded.completion() != again.completion()) {
    return "the tokens are the same, and the text or its end is not";
  }
  return "";
}

absl::Status ReplayRollout(const ReplayOptions& options, std::stop_token stop) {
  const std::optional<RolloutKey> key = ParseRolloutKey(options.key);
  if (!key) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rollout ", options.key, ": not PLAN/GROUP/SAMPLE, as in ppo_1/12/3"));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<RunReader> reader, RunReader::Open(options.run, stop));
  ASSIGN_OR_RETURN(const std::vector<Rollout> found, reader->Fetch({*key}));
  const PlanStatus* plan = nullptr;
  for (const PlanStatus& candidate : reader->status().plans()) {
    if (candidate.name() == key->plan()) plan = &candidate;
  }
  if (found.empty() || plan == nullptr) {
    return absl::NotFoundError(absl::StrCat("--rollout ", options.key,
                                            ": the run has no such rollout; reckon rollouts ",
                                            options.run, " lists them"));
  }
  ASSIGN_OR_RETURN(const LeaseReply work, WorkOf(found[0], plan->spec()));
  ASSIGN_OR_RETURN(const std::string model, FolderOf(*reader, work.leases(0).weight_version()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, reader->MakeTokenizer());
  ASSIGN_OR_RETURN(const Rollout again, Generate(work, reader->config(), model, stop));
  const std::string difference = Difference(found[0], again, *tokenizer);
  if (!difference.empty()) {
    return absl::DataLossError(absl::StrCat(options.key, " is not the same: ", difference));
  }
  const Drawn drawn = DrawnOf(again);
  std::cout << options.key << " is the same: " << drawn.tokens.size() << " tokens and "
            << drawn.logprobs.size() << " log-probabilities, bit for bit, from weight version "
            << work.leases(0).weight_version() << " in "
            << std::filesystem::path(model).filename().string() << "\n";
  return absl::OkStatus();
}

CommandRun AddReplay(CLI::App* app) {
  const auto options = std::make_shared<ReplayOptions>();
  CLI::App* command = app->add_subcommand(
      "replay", "Generate a rollout again from its key, and say whether it is the same");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--rollout", options->key, "PLAN/GROUP/SAMPLE, as in ppo_1/12/3")->required();
  command->footer(
      "The folder of the weight version must have been kept (keep_last, keep_evaluated).\n"
      "Example:\n"
      "  reckon replay runs/quickstart --rollout eval/0_start/greedy/12/0");
  return [options](std::stop_token stop) { return ReplayRollout(*options, stop); };
}

}  // namespace reckon
