#include "cli/commands/score_rewards.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "cli/launcher/run_dir.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/config_file.h"
#include "common/config/ranges.h"
#include "common/config/stage_info.h"
#include "common/config/validate_stage.h"
#include "common/net/security.h"
#include "common/reward/rollout_scorer.h"
#include "common/reward/verifier.h"
#include "common/task/dataset/dataset.h"
#include "common/task/dataset/record_reader.h"
#include "common/task/reward/own_rewards.h"
#include "common/text/json.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

// Answers that are being scored, at most: what is queued is in memory.
constexpr int64_t kMaxPending = 1024;
constexpr absl::Duration kLookEvery = absl::Milliseconds(100);

// What is scored, by what.
struct Trial {
  DataSettings data;
  std::vector<RewardSpec> rewards;  // of different names
  Split split = Split::kEval;
};

struct Answer {
  const Problem* problem = nullptr;
  std::string completion;
};

// What one reward has said of all answers.
struct Tally {
  uint64_t scored = 0, not_scored = 0;
  double sum = 0, squares = 0;
  std::map<std::string, uint64_t> verdicts;
  std::map<std::string, uint64_t> failures;  // attempts, by name
  std::string first_error;                   // with where the answer is from
};

absl::Status BadOption(absl::string_view what) { return absl::InvalidArgumentError(what); }

std::string Lower(const std::string& name) { return absl::AsciiStrToLower(name); }

// Rewards of a model are the learner's. A reward that several stages have is tried once; different
// ones of one name are told apart by a number.
std::vector<RewardSpec> DistinctRewards(const std::vector<const RewardSpec*>& all) {
  std::vector<RewardSpec> distinct;
  std::set<std::string> seen, names;
  for (const RewardSpec* spec : all) {
    if (spec->kind() == RewardSpec::ORM) continue;
    RewardSpec reward = *spec;
    reward.set_weight(1);
    reward.set_name(RewardName(reward));
    if (!seen.insert(reward.SerializeAsString()).second) continue;
    const std::string name = reward.name();
    for (int i = 2; !names.insert(reward.name()).second; ++i) {
      reward.set_name(absl::StrCat(name, "_", i));
    }
    distinct.push_back(std::move(reward));
  }
  return distinct;
}

absl::StatusOr<Trial> TrialOfConfig(const ScoreRewardsOptions& options) {
  if (!options.rewards.empty() || !options.command.empty()) {
    return BadOption("--reward and --command are for data; a config has its rewards");
  }
  ASSIGN_OR_RETURN(const RunConfig config, LoadConfig(options.what, options.set));
  Trial trial;
  trial.data = config.data();
  trial.split = options.train ? Split::kTrain : Split::kEval;
  trial.rewards = DistinctRewards(AllRewards(config));
  return trial;
}

absl::StatusOr<Trial> TrialOfData(const ScoreRewardsOptions& options) {
  if (!options.set.empty() || options.train) {
    return BadOption("--set and --train are for a config");
  }
  Trial trial;
  trial.data.set_eval(AbsolutePath(options.what));
  trial.data.set_question_key(options.question_key);
  trial.data.set_answer_key(options.answer_key);
  std::vector<RewardSpec> rewards;
  for (const std::string& text : options.rewards) {
    if (!google::protobuf::TextFormat::ParseFromString(text, &rewards.emplace_back())) {
      return BadOption(absl::StrCat("--reward: '", text,
                                    "' is none; write it as in a config, as in ",
                                    "'kind: PROCESS command: \"python3 my_reward.py\"'"));
    }
  }
  if (!options.command.empty()) {
    rewards.emplace_back().set_kind(RewardSpec::PROCESS);
    rewards.back().set_command(options.command);
  }
  if (rewards.empty()) {
    return BadOption("which reward? --command \"python3 my_reward.py\", or --reward 'kind: ...'");
  }
  std::vector<const RewardSpec*> pointers;
  for (const RewardSpec& reward : rewards) {
    RETURN_IF_ERROR(CheckRanges(reward, "--reward"));
    RETURN_IF_ERROR(CheckRewardFields("--reward", reward));
    pointers.push_back(&reward);
  }
  trial.rewards = DistinctRewards(pointers);
  return trial;
}

absl::StatusOr<Trial> MakeTrial(const ScoreRewardsOptions& options) {
  absl::StatusOr<Trial> trial =
      IsConfigFile(options.what) ? TrialOfConfig(options) : TrialOfData(options);
  if (trial.ok() && trial->rewards.empty())
    return BadOption("the config has no reward to score by");
  return trial;
}

// A line of --completions: {"completion": "...", "index": 3}, of the problem with that number from
// 0 on, or without it of the problem of the same place.
absl::StatusOr<std::vector<Answer>> ReadCompletions(const std::string& path,
                                                    const std::vector<Problem>& problems) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RecordReader> reader, OpenRecords(path));
  std::vector<Answer> answers;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<Record> record, reader->Next());
    if (!record.has_value()) return answers;
    const auto at = [&](const absl::Status& status) {
      return BadOption(absl::StrCat(path, ":", record->line, ": ", status.message()));
    };
    if (!record->status.ok()) return at(record->status);
    absl::StatusOr<std::string> completion = GetString(record->fields, "completion");
    if (!completion.ok()) return at(completion.status());
    const absl::StatusOr<int64_t> index =
        GetIntOr(record->fields, "index", static_cast<int64_t>(answers.size()));
    if (!index.ok()) return at(index.status());
    if (*index < 0 || *index >= static_cast<int64_t>(problems.size())) {
      return at(BadOption(
          absl::StrCat("index ", *index, ", but there are ", problems.size(), " problems")));
    }
    answers.push_back({&problems[*index], *std::move(completion)});
  }
}

absl::StatusOr<std::vector<Answer>> MakeAnswers(const ScoreRewardsOptions& options,
                                                const std::vector<Problem>& problems) {
  std::vector<Answer> answers;
  if (!options.completions.empty()) {
    ASSIGN_OR_RETURN(answers, ReadCompletions(options.completions, problems));
  } else {
    for (const Problem& problem : problems) {
      answers.push_back({&problem, problem.solution.empty() ? problem.answer : problem.solution});
    }
  }
  if (answers.empty()) return BadOption("there are no answers to score");
  if (options.limit > 0 && answers.size() > options.limit) answers.resize(options.limit);
  return answers;
}

// Scores answers by rewards, each by each, and adds up what they say.
class RewardTrial {
 public:
  RewardTrial(const ScoreRewardsOptions& options, const Trial& trial,
              const std::vector<Answer>& answers, std::shared_ptr<const Security> security)
      : options_(options), answers_(answers), tallies_(trial.rewards.size()) {
    std::vector<std::string> commands;
    for (const RewardSpec& reward : trial.rewards) {
      commands.push_back(reward.command());
      auto plan = std::make_shared<PlanSpec>();
      plan->set_name(reward.name());
      *plan->add_rewards() = reward;
      plans_.push_back(std::move(plan));
    }
    scorer_.emplace(RolloutScorer::Options{.rewarder = &verifier_,
                                           .commands = std::move(commands),
                                           .security = std::move(security),
                                           .notify = [this] {
                                             absl::MutexLock lock(&mu_);
                                             event_ = true;
                                           }});
  }

  absl::Status Run(const std::stop_token& stop) {
    const absl::Time begin = absl::Now();
    absl::Status status;
    std::string waiting_for;
    for (size_t next = 0; status.ok() && (next < Jobs() || scorer_->pending() > 0);) {
      if (next < Jobs() && scorer_->pending() < kMaxPending) {
        Add(next++);
      } else {
        absl::MutexLock lock(&mu_);
        mu_.AwaitWithTimeout(absl::Condition(&event_), kLookEvery);
        event_ = false;
      }
      for (const ScoringJob& job : scorer_->TakeScored()) Note(job);
      if (stop.stop_requested()) status = absl::CancelledError("stopped");
      if (std::string why = scorer_->failing(); !why.empty()) status = absl::InternalError(why);
      if (std::string what = scorer_->waiting_for(); what != waiting_for) {
        waiting_for = what;
        if (!what.empty()) std::cerr << "waiting for: " << what << std::endl;
      }
    }
    seconds_ = absl::ToDoubleSeconds(absl::Now() - begin);
    return status;
  }

  // Answers that a reward could not score, over all rewards.
  uint64_t not_scored() const {
    uint64_t all = 0;
    for (const Tally& tally : tallies_) all += tally.not_scored;
    return all;
  }

  void PrintTable() const {
    std::cout << answers_.size() << " answers, " << FormatRate() << " a second\n"
              << absl::StrFormat("  %-24s %9s %9s %9s  %s\n", "reward", "scored", "mean", "std",
                                 "verdicts");
    for (size_t i = 0; i < plans_.size(); ++i) {
      const Tally& tally = tallies_[i];
      std::vector<std::string> verdicts;
      for (const auto& [name, count] : tally.verdicts) {
        verdicts.push_back(absl::StrCat(name, " ", count));
      }
      // Of no value there is no mean, and a failure must not look like a zero.
      const auto figure = [&](double value) {
        return tally.scored == 0 ? "-" : absl::StrFormat("%.4f", value);
      };
      std::cout << absl::StrFormat("  %-24s %9d %9s %9s  %s\n", plans_[i]->name(), tally.scored,
                                   figure(Mean(tally)), figure(Deviation(tally)),
                                   absl::StrJoin(verdicts, ", "));
    }
    for (size_t i = 0; i < plans_.size(); ++i) {
      const Tally& tally = tallies_[i];
      if (tally.failures.empty() && tally.not_scored == 0) continue;
      std::vector<std::string> failures;
      for (const auto& [name, count] : tally.failures) {
        failures.push_back(absl::StrCat(name, " ", count));
      }
      std::cout << "  " << plans_[i]->name() << ": failed attempts: "
                << (failures.empty() ? "none" : absl::StrJoin(failures, ", "))
                << "; not scored: " << tally.not_scored << "\n";
      if (!tally.first_error.empty()) std::cout << "    the first: " << tally.first_error << "\n";
    }
  }

  void PrintJson() const {
    nlohmann::ordered_json json = {
        {"answers", answers_.size()}, {"seconds", seconds_}, {"scored_per_second", Rate()}};
    for (size_t i = 0; i < plans_.size(); ++i) {
      const Tally& tally = tallies_[i];
      const auto figure = [&](double value) -> nlohmann::json {
        if (tally.scored == 0) return nullptr;
        return value;
      };
      json["rewards"][plans_[i]->name()] = {
          {"scored", tally.scored},      {"not_scored", tally.not_scored},
          {"mean", figure(Mean(tally))}, {"std", figure(Deviation(tally))},
          {"verdicts", tally.verdicts},  {"failures", tally.failures}};
    }
    std::cout << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << std::endl;
  }

 private:
  size_t Jobs() const { return answers_.size() * plans_.size(); }

  void Add(size_t number) {
    const Answer& answer = answers_[number / plans_.size()];
    auto item = std::make_shared<WorkItem>();
    item->set_source(answer.problem->source);
    item->mutable_reference()->set_answer(answer.problem->answer);
    item->mutable_reference()->set_solution(answer.problem->solution);
    item->mutable_reference()->set_columns(answer.problem->columns);
    ScoringJob job;
    job.lease = number;
    job.plan = plans_[number % plans_.size()];
    job.item = std::move(item);
    job.rollout.set_finish(FINISH_STOP);
    job.rollout.set_completion(answer.completion);
    job.rollout.mutable_key()->set_plan(job.plan->name());
    job.rollout.mutable_key()->set_group(number / plans_.size());
    job.prompt = answer.problem->question;
    scorer_->Add(std::move(job));
  }

  void Note(const ScoringJob& job) {
    Tally& tally = tallies_[job.lease % plans_.size()];
    const std::string& source = job.item->source();
    for (const std::string& failure : job.failures) ++tally.failures[failure];
    if (!job.status.ok()) {
      ++tally.not_scored;
      if (tally.first_error.empty())
        tally.first_error = absl::StrCat(source, ": ", job.status.message());
    } else {
      const RewardValue& value = job.rollout.rewards(0);
      ++tally.scored;
      tally.sum += value.value();
      tally.squares += value.value() * value.value();
      const std::string verdict = Lower(Verdict_Name(value.verdict()));
      ++tally.verdicts[value.verdict() == VERDICT_UNSPECIFIED ? "none" : verdict];
    }
    if (options_.each) PrintAnswer(job);
  }

  void PrintAnswer(const ScoringJob& job) const {
    nlohmann::ordered_json json = {{"source", job.item->source()},
                                   {"index", job.rollout.key().group()},
                                   {"reward", job.plan->name()}};
    if (job.status.ok()) {
      const RewardValue& value = job.rollout.rewards(0);
      json["value"] = value.value();
      json["verdict"] = Lower(Verdict_Name(value.verdict()));
      json["extracted"] = value.extracted();
    } else {
      json["error"] = job.status.message();
    }
    std::cout << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  }

  static double Mean(const Tally& tally) {
    return tally.sum / std::max<double>(1, static_cast<double>(tally.scored));
  }
  static double Deviation(const Tally& tally) {
    const double mean = Mean(tally);
    const double square = tally.squares / std::max<double>(1, static_cast<double>(tally.scored));
    return std::sqrt(std::max(0.0, square - mean * mean));
  }
  double Rate() const {
    uint64_t scored = 0;
    for (const Tally& tally : tallies_) scored += tally.scored;
    return static_cast<double>(scored) / std::max(1e-9, seconds_);
  }
  std::string FormatRate() const { return absl::StrFormat("%.0f", Rate()); }

  const ScoreRewardsOptions& options_;
  const std::vector<Answer>& answers_;
  const Verifier verifier_;
  std::vector<std::shared_ptr<const PlanSpec>> plans_;  // one for each reward
  std::vector<Tally> tallies_;                          // of plans_
  double seconds_ = 0;
  absl::Mutex mu_;
  bool event_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<RolloutScorer> scorer_;  // last: its threads use the others
};

}  // namespace

absl::Status ScoreRewards(const ScoreRewardsOptions& options, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(const Trial trial, MakeTrial(options));
  ASSIGN_OR_RETURN(const Dataset data,
                   LoadDataset(trial.data, trial.split, AnswerUse::kOwnRewards));
  for (const std::string& note : data.notes) std::cerr << note << "\n";
  ASSIGN_OR_RETURN(const std::vector<Answer> answers, MakeAnswers(options, data.problems));
  ASSIGN_OR_RETURN(const auto security, Security::Load(options.certificates, Role::kUser));
  RewardTrial run(options, trial, answers, security);
  const absl::Status status = run.Run(stop);
  if (absl::IsCancelled(status)) return status;
  if (options.json) {
    run.PrintJson();
  } else {
    run.PrintTable();
  }
  RETURN_IF_ERROR(status);
  if (run.not_scored() == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(
      run.not_scored(), " of ", answers.size() * trial.rewards.size(), " scores are missing"));
}

CommandRun AddScoreRewards(CLI::App* app) {
  const auto options = std::make_shared<ScoreRewardsOptions>();
  CLI::App* command = app->add_subcommand(
      "score-rewards", "Try rewards on answers that are there already, before a run");
  command
      ->add_option("what", options->what,
                   "config (.textproto or .yaml), or data: a file or folder of problems, or "
                   "builtin")
      ->required();
  command->add_option("--set", options->set, "override a config key: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--train", options->train, "of a config: data.train, not data.eval");
  command->add_option("--command", options->command,
                      "with data: a program of your own, as in \"python3 my_reward.py\"");
  command
      ->add_option("--reward", options->rewards,
                   "with data: a reward as in a config, may be repeated")
      ->allow_extra_args(false);
  command->add_option("--completions", options->completions,
                      "JSONL file of answers: {\"completion\": TEXT, \"index\": PROBLEM}; default: "
                      "the worked solutions of the data");
  command->add_option("--certificates", options->certificates,
                      "with kind SERVICE: folder of the run's role user");
  command->add_option("--question-key", options->question_key, "with data: key of the question")
      ->capture_default_str();
  command->add_option("--answer-key", options->answer_key, "with data: key of the answer")
      ->capture_default_str();
  command->add_option("--limit", options->limit, "score this many answers only; 0: all");
  command->add_flag("--each", options->each, "print a JSON line for each answer and reward");
  command->add_flag("--json", options->json, "print one JSON object, with the answers a second");
  command->footer(
      "Examples:\n"
      "  reckon score-rewards test.jsonl --command \"python3 my_reward.py\"\n"
      "  reckon score-rewards my_run.textproto --train --limit 500 --json\n"
      "  reckon score-rewards test.jsonl --completions answers.jsonl \\\n"
      "      --reward 'kind: EXACT_MATCH_FLEXIBLE' --reward 'kind: PROCESS command: \"./mine\"'");
  return [options](std::stop_token stop) { return ScoreRewards(*options, stop); };
}

}  // namespace reckon
