#include "cli/commands/eval_report.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/str_format.h"
#include "common/telemetry/figures.h"
#include "nlohmann/json.hpp"

namespace reckon {
namespace {

// What tells right from wrong.
std::string VerdictsBy(const EvalOptions& options) {
  if (!options.command.empty()) return options.command;
  return options.answers == "numbers" ? options.reward : options.answers;
}

}  // namespace

void PrintEvalTable(const EvalOptions& options, size_t problems, size_t overlong,
                    const std::vector<EvalRow>& rows, const EvalOutcome& greedy,
                    const EvalOutcome* sampled) {
  std::cout << options.model << " on " << options.data << ": " << problems << " problems, "
            << options.format << " prompts, "
            << (options.command.empty() ? VerdictsBy(options) + " answers"
                                        : "verdicts by " + VerdictsBy(options))
            << "\n";
  if (overlong > 0) {
    std::cout << "  " << overlong << " of the problems do not fit into the model's context and "
              << "count as wrong\n";
  }
  for (const EvalRow& row : rows) {
    std::cout << absl::StrFormat("  %-18s %5.1f %%   95 %% interval %5.1f to %5.1f\n", row.name,
                                 100 * row.estimate.value(), 100 * row.estimate.low(),
                                 100 * row.estimate.high());
  }
  if (sampled != nullptr && !sampled->metrics.HasVotes()) {
    std::cout << "  no maj@" << options.samples << ": the program replies with no \"extracted\" "
              << "answer to vote with\n";
  }
  auto verdicts = [](const char* name, const EvalOutcome& outcome) {
    std::cout << "  " << name << ":";
    for (const auto& [verdict, count] : outcome.metrics.VerdictCounts()) {
      std::cout << " " << verdict << " " << count;
    }
    if (outcome.set_aside > 0) std::cout << "; problems set aside " << outcome.set_aside;
    std::cout << absl::StrFormat(
        "; %s tokens, %s tok/s, %s\n", FormatCount(static_cast<double>(outcome.tokens)),
        FormatCount(static_cast<double>(outcome.tokens) / std::max(1e-9, outcome.seconds)),
        FormatSeconds(outcome.seconds));
  };
  verdicts("greedy", greedy);
  if (sampled != nullptr) {
    verdicts(absl::StrFormat("%u samples at temperature %g", options.samples, options.temperature)
                 .c_str(),
             *sampled);
  }
}

void PrintEvalJson(const EvalOptions& options, size_t problems, size_t overlong,
                   const std::vector<EvalRow>& rows, const EvalOutcome& greedy,
                   const EvalOutcome* sampled) {
  nlohmann::ordered_json json = {{"model", options.model},
                                 {"data", options.data},
                                 {"problems", problems},
                                 {"overlong", overlong},
                                 {"format", options.format},
                                 {"reward", VerdictsBy(options)},
                                 {"max_new_tokens", options.max_new_tokens},
                                 {"seed", options.seed},
                                 {"samples", options.samples}};
  if (!options.orm.empty()) json["orm"] = options.orm;
  if (sampled != nullptr) json["temperature"] = options.temperature;
  for (const EvalRow& row : rows) {
    json[row.name] = {{"value", row.estimate.value()},
                      {"low", row.estimate.low()},
                      {"high", row.estimate.high()}};
  }
  auto plan = [](const EvalOutcome& outcome) {
    return nlohmann::ordered_json{{"verdicts", outcome.metrics.VerdictCounts()},
                                  {"set_aside", outcome.set_aside},
                                  {"tokens", outcome.tokens},
                                  {"seconds", outcome.seconds}};
  };
  json["greedy"] = plan(greedy);
  if (sampled != nullptr) {
    json["sampled"] = plan(*sampled);
    json["pass@k"] = sampled->metrics.PassAtPowersOfTwo(options.samples);
    json["distinct_correct"] = {{"text", sampled->metrics.DistinctCorrectTexts()},
                                {"equations", sampled->metrics.DistinctCorrectEquations()}};
  }
  std::cout << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
            << std::endl;
}

}  // namespace reckon
