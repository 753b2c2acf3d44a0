#include "cli/commands/score.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/commands/flags.h"
#include "cli/launcher/plan_progress.h"
#include "cli/launcher/progress_display.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace reckon {
namespace {

// The text that is scored.
const std::string& Scored(const Problem& problem) {
  return problem.solution.empty() ? problem.answer : problem.solution;
}

// One JSON line: the tokens of the answer and the model's log-probability of each.
absl::Status PrintScore(const LocalSession& session, const Rollout& rollout) {
  nlohmann::ordered_json json;
  json["index"] = rollout.key().group();
  json["source"] = session.problems()[rollout.key().group()].source;
  nlohmann::ordered_json tokens = nlohmann::ordered_json::array(), texts = tokens,
                         logprobs = tokens;
  double sum = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::FORCED) continue;
    if (span.logprobs_size() != span.tokens_size()) {
      return absl::InternalError(absl::StrCat("the actor returned ", span.logprobs_size(),
                                              " log-probabilities for ", span.tokens_size(),
                                              " tokens"));
    }
    for (int i = 0; i < span.tokens_size(); ++i) {
      uint32_t id = span.tokens(i);
      tokens.push_back(id);
      texts.push_back(session.tokenizer().Decode({id}, /*skip_special=*/false));
      logprobs.push_back(span.logprobs(i));
      sum += span.logprobs(i);
    }
  }
  json["sum"] = sum;
  json["mean"] = tokens.empty() ? 0 : sum / static_cast<double>(tokens.size());
  json["tokens"] = std::move(tokens);
  json["texts"] = std::move(texts);
  json["logprobs"] = std::move(logprobs);
  std::cout << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  return absl::OkStatus();
}

}  // namespace

absl::Status Score(const ScoreOptions& options, std::stop_token stop) {
  const LocalSession::ContextNeed need = {
      .what = "worked solution",
      .tokens = [](const PromptFormatter& formatter, const Problem& problem) {
        return static_cast<int64_t>(formatter.Completion(Scored(problem)).size());
      }};
  ASSIGN_OR_RETURN(std::unique_ptr<LocalSession> session, LocalSession::Start(options, need, stop));
  // Standard output is the result. Where it goes to the terminal as well, a bar that is redrawn in
  // place would be in its way.
  ProgressDisplay::Options look = ProgressDisplay::OptionsOf(2);
  look.terminal &= ::isatty(1) == 0;  // else it would be among the results
  ProgressDisplay display(&std::cerr, std::move(look));
  for (const std::string& note : session->notes()) display.Print(note);
  for (const Problem& problem : session->overlong()) {
    display.Print(absl::StrCat("reckon: ", problem.source,
                               ": not scored, because it does not fit into the model's context"));
  }
  PlanSpec spec = session->MakeSpec("score");
  spec.set_score_forced(true);
  spec.mutable_sampling()->set_max_new_tokens(0);
  spec.set_max_open_batches(1);  // batches in order, so that lines have the order of the data
  spec.set_groups_per_batch(64);
  auto prepare = [&](const Problem& problem, WorkItem* item) {
    for (uint32_t id : session->formatter().Completion(Scored(problem))) {
      item->add_forced_tokens(id);
    }
  };
  std::vector<uint64_t> set_aside;
  const auto each = [&](const Batch& batch) -> absl::Status {
    set_aside.insert(set_aside.end(), batch.header.set_aside().begin(),
                     batch.header.set_aside().end());
    for (const Rollout& rollout : batch.rollouts) RETURN_IF_ERROR(PrintScore(*session, rollout));
    std::cout.flush();
    return absl::OkStatus();
  };
  Progress progress;
  progress.set_phase("score");
  progress.set_unit("problems");
  progress.set_total(static_cast<double>(session->problems().size()));
  const absl::Time began = absl::Now();
  const absl::Status status = session->Run(spec, prepare, each, ShowOn(&display, progress));
  if (status.ok()) {
    progress.set_done(progress.total());
    progress.set_elapsed_s(absl::ToDoubleSeconds(absl::Now() - began));
    display.Show(progress, absl::Now());
  }
  display.Finish();
  for (uint64_t group : set_aside) {  // only now: the display was the watch's
    display.Print(absl::StrCat("reckon: ", session->problems()[group].source,
                               ": left out, because it could not be scored"));
  }
  return status;
}

CommandRun AddScore(CLI::App* app) {
  const auto options = std::make_shared<ScoreOptions>();
  CLI::App* command = app->add_subcommand(
      "score", "Print log-probabilities of given answers, one JSON line per problem");
  AddProblemOptions(command, options.get());
  command->footer(
      "Examples:\n"
      "  reckon score --model models/smollm2-135m --data test.jsonl --limit 10\n"
      "  reckon score --model models/smollm2-135m --data builtin > scores.jsonl");
  return [options](std::stop_token stop) { return Score(*options, stop); };
}

}  // namespace reckon
