// reckon: the program a person types. The only file that knows CLI11.

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "cli/commands.h"
#include "common/base/stop_token.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int kUsageError = 2;
constexpr int kStopped = 130;

void AddProblemOptions(CLI::App* command, ProblemOptions* options) {
  command->add_option("--model", options->model, "model folder (Hugging Face layout)")->required();
  command->add_option("--data", options->data, "JSONL file of problems, or builtin")->required();
  command->add_option("--limit", options->limit, "first problems only; 0: all");
  command->add_option("--format", options->format, "how prompts are written")
      ->check(CLI::IsMember({"plain", "chat", "few-shot"}))
      ->capture_default_str();
  command->add_option("--few-shot", options->few_shot, "examples of the few-shot format")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--examples", options->examples,
                      "file of the few-shot examples; else the head of --data, then left out");
  command->add_option("--question-key", options->question_key, "key of the question in --data")
      ->capture_default_str();
  command->add_option("--body-key", options->body_key, "key of text to put before the question");
  command->add_option("--answer-key", options->answer_key, "key of the answer in --data")
      ->capture_default_str();
  command->add_option("--threads", options->threads, "compute threads; 0: all cores")
      ->check(CLI::Range(0, 4096));
  command->add_option("--max-batch", options->max_batch, "samples generated at once")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--kv-cache-mib", options->kv_cache_mib, "memory for keys and values, MiB")
      ->check(CLI::Range(16, 1 << 24))
      ->capture_default_str();
  command->add_flag("--fp32", options->fp32, "compute in fp32 instead of bf16");
}

void AddTrain(CLI::App* app, TrainOptions* options) {
  CLI::App* command = app->add_subcommand("train", "Train as a config says");
  command->add_option("config", options->config, "config file (textproto)")->required();
  command->add_option("--set", options->set, "override a config key: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", options->dry_run,
                    "show config, stages, memory and disk, start nothing");
  command->add_flag("--resume", options->resume, "go on with the run of this config");
  command->footer(
      "Examples:\n"
      "  reckon train recipes/quickstart.textproto --set model.path=models/smollm2-135m\n"
      "  reckon train recipes/quickstart.textproto --set stage[1].ei.rounds=3 --dry-run\n"
      "  reckon train recipes/quickstart.textproto --set model.path=models/smollm2-135m --resume");
}

void AddSft(CLI::App* app, SftOptions* options) {
  CLI::App* command = app->add_subcommand("sft", "Fine-tune on worked solutions, without a config");
  command->add_option("--model", options->model, "model folder to begin with")->required();
  command->add_option("--data", options->data, "JSONL file of problems, or builtin")->required();
  command->add_option("--eval-data", options->eval_data,
                      "JSONL file to evaluate on; builtin by default with builtin data");
  command->add_option("--output", options->output, "run directory to make")->required();
  command->add_option("--epochs", options->epochs, "passes over the data")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--batch-size", options->batch_size, "sequences an optimizer step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--learning-rate", options->learning_rate, "peak learning rate")
      ->capture_default_str();
  command->add_option("--limit", options->limit, "first problems only; 0: all");
  command->add_option("--format", options->format, "how prompts are written")
      ->check(CLI::IsMember({"plain", "chat"}))
      ->capture_default_str();
  command->add_option("--ranks", options->ranks, "learner processes")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_flag("--resume", options->resume, "go on with the run in --output");
  command->footer(
      "The model ends up in OUTPUT/weights/sft.\nExamples:\n"
      "  reckon sft --model models/smollm2-135m --data builtin --output runs/my_sft\n"
      "  reckon sft --model models/smollm2-135m --data train.jsonl --eval-data test.jsonl \\\n"
      "    --output runs/my_sft --epochs 3");
}

void AddEval(CLI::App* app, EvalOptions* options) {
  CLI::App* command =
      app->add_subcommand("eval", "Evaluate a model: maj@1, maj@K, pass@K, rerank@K");
  AddProblemOptions(command, options);
  command->add_option("--samples", options->samples, "K of maj@K and pass@K; 0: greedy only")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->add_option("--temperature", options->temperature, "temperature of the K samples")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest completion, in tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--reward", options->reward, "strict: '#### N'; flexible: the last number")
      ->check(CLI::IsMember({"strict", "flexible"}))
      ->capture_default_str();
  command->add_option("--orm", options->orm,
                      "reward model, <run>/orm/<stage>: adds rerank@K of the same samples");
  command->add_option("--seed", options->seed, "seed of sampling and intervals")
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the result as JSON");
  command->footer(
      "Examples:\n"
      "  reckon eval --model models/smollm2-135m --data builtin --limit 100\n"
      "  reckon eval --model runs/quickstart/weights/sft_1 --data test.jsonl --samples 8 --json\n"
      "  reckon eval --model runs/a/weights/sft_1 --orm runs/a/orm/orm_1 --data test.jsonl");
}

void AddScore(CLI::App* app, ScoreOptions* options) {
  CLI::App* command =
      app->add_subcommand("score", "Log-probabilities of given answers, one JSON line a problem");
  AddProblemOptions(command, options);
  command->footer(
      "Examples:\n"
      "  reckon score --model models/smollm2-135m --data test.jsonl --limit 10\n"
      "  reckon score --model models/smollm2-135m --data builtin > scores.jsonl");
}

void AddShow(CLI::App* app, ShowOptions* options) {
  CLI::App* command =
      app->add_subcommand("show", "Show rollouts of a run: prompt, completion, reward, why");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--plan", options->plan, "plan to show; the newest by default");
  command->add_option("--limit", options->limit, "rollouts to show")->capture_default_str();
  CLI::Option* wrong = command->add_flag("--wrong", options->wrong, "only those not correct");
  command->add_flag("--correct", options->correct, "only correct ones")->excludes(wrong);
  command->footer(
      "Examples:\n"
      "  reckon show runs/quickstart\n"
      "  reckon show runs/quickstart --plan eval/0_start/greedy --wrong --limit 20");
}

bool IsCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return true;
  }
  return false;
}

int Main(int argc, char** argv, const StopToken* stop) {
  CLI::App app("Reckon trains language models to reason with reinforcement learning.");
  app.name("reckon");
  app.set_version_flag("--version", "reckon 0.1");
  app.require_subcommand(1);
  app.footer("`reckon COMMAND --help` shows the options of a command and examples.");

  TrainOptions train;
  SftOptions sft;
  EvalOptions eval;
  ScoreOptions score;
  ShowOptions show;
  AddTrain(&app, &train);
  AddSft(&app, &sft);
  AddEval(&app, &eval);
  AddScore(&app, &score);
  AddShow(&app, &show);
  app.add_subcommand("doctor", "Check what this machine has")->footer("Example:\n  reckon doctor");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11's way to say it; --help is one too
    if (error.get_exit_code() == 0) return app.exit(error);
    if (argc > 1 && argv[1][0] != '-' && !IsCommand(app, argv[1])) {
      std::cerr << "reckon: no command '" << argv[1]
                << "'; there are train, sft, eval, score, show and doctor\n";
      return kUsageError;
    }
    std::cerr << "reckon: " << error.what() << "; see reckon --help or reckon COMMAND --help\n";
    return kUsageError;
  }

  absl::Status status;
  if (app.got_subcommand("train")) status = Train(train, stop);
  if (app.got_subcommand("sft")) status = Sft(sft, stop);
  if (app.got_subcommand("eval")) status = Eval(eval, stop);
  if (app.got_subcommand("score")) status = Score(score, stop);
  if (app.got_subcommand("show")) status = Show(show, stop);
  if (app.got_subcommand("doctor")) status = Doctor(stop);
  if (status.ok()) return 0;
  std::cerr << "reckon: " << status.message() << std::endl;
  return absl::IsCancelled(status) && stop->stopped() ? kStopped : 1;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  reckon::StopToken stop;
  reckon::StopOnSignals(&stop);
  reckon::InitLogging(argv[0]);
  FLAGS_minloglevel = google::GLOG_ERROR;  // what matters is told in words
  return reckon::Main(argc, argv, &stop);
}
