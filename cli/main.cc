// reckon: the command-line program. The only file that includes CLI11, which is slow to compile.

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/bench/coordinator_bench.h"
#include "cli/commands/certs.h"
#include "cli/commands/doctor.h"
#include "cli/commands/eval.h"
#include "cli/commands/launch.h"
#include "cli/commands/replay.h"
#include "cli/commands/report.h"
#include "cli/commands/rollouts.h"
#include "cli/commands/score.h"
#include "cli/commands/score_rewards.h"
#include "cli/commands/sft.h"
#include "cli/commands/show.h"
#include "cli/commands/sweep.h"
#include "cli/commands/watch.h"
#include "common/base/stop.h"
#include "common/config/ranges.h"
#include "proto/config.pb.h"
#include "proto/sweep.pb.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int kUsageError = 2;
constexpr int kStopped = 130;

// Checks a flag by the range that config.proto gives to a field of T.
template <typename T>
CLI::Validator Allowed(const std::string& name) {
  const google::protobuf::FieldDescriptor* field = T::descriptor()->FindFieldByName(name);
  return CLI::Validator(
      [field](const std::string& text) -> std::string {
        double value = 0;
        if (absl::SimpleAtod(text, &value) && InRange(*field, value)) return "";
        return absl::StrCat("value ", text, "; allowed: ", DescribeRange(*field));
      },
      DescribeRange(*field));
}

void AddChatOptions(CLI::App* command, std::string* system_prompt, std::string* kwargs) {
  command->add_option("--system-prompt", *system_prompt,
                      "with --format chat: text of a system message before the question");
  command->add_option("--chat-template-kwargs", *kwargs,
                      "with --format chat: variables of the template as a JSON object, "
                      "'{\"enable_thinking\": false}'");
}

void AddProblemOptions(CLI::App* command, ProblemOptions* options) {
  command->add_option("--model", options->model, "model folder (Hugging Face layout)")->required();
  command->add_option("--base", options->base,
                      "folder of the base model, if --model is an adapter folder of PEFT");
  command->add_option("--data", options->data, "file or folder of problems, or builtin")
      ->required();
  command->add_option("--limit", options->limit, "use this many problems only; 0: all");
  command->add_option("--format", options->format, "how prompts are written")
      ->check(CLI::IsMember({"plain", "chat", "few-shot"}))
      ->capture_default_str();
  AddChatOptions(command, &options->system_prompt, &options->chat_template_kwargs);
  command->add_option("--few-shot", options->few_shot, "examples of the few-shot format")
      ->check(Allowed<DataSettings>("few_shot_examples"))
      ->capture_default_str();
  command->add_option("--examples", options->examples,
                      "file of the few-shot examples; default: the first problems of --data, which "
                      "are then skipped");
  command->add_option("--question-key", options->question_key, "key of the question in --data")
      ->capture_default_str();
  command->add_option("--body-key", options->body_key,
                      "key of text that is put before the question");
  command->add_option("--answer-key", options->answer_key, "key of the answer in --data")
      ->capture_default_str();
  command
      ->add_option("--answers", options->answers,
                   "numbers: '#### N'; boxed: the last \\boxed{}, as MATH writes answers; text: "
                   "any text after '####'")
      ->check(CLI::IsMember({"numbers", "boxed", "text"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "compute threads; 0: all cores")
      ->check(Allowed<RoleResources>("cpus"));
  command->add_option("--max-batch", options->max_batch, "samples generated at once")
      ->check(Allowed<ActorSettings>("max_batch"))
      ->capture_default_str();
  command
      ->add_option("--kv-cache-mib", options->kv_cache_mib,
                   "size of the KV cache, MiB; 0: 1024, on a GPU what is left")
      ->check(Allowed<ActorSettings>("kv_cache_mib"))
      ->capture_default_str();
  command->add_flag("--fp32", options->fp32, "compute in fp32 instead of bf16");
  command
      ->add_option("--overlong", options->overlong,
                   "problems that do not fit into the model's context: refuse, or count-wrong")
      ->check(CLI::IsMember({"refuse", "count-wrong"}))
      ->capture_default_str();
  command
      ->add_option("--bad-records", options->bad_records,
                   "records that cannot be read: refuse, or leave-out")
      ->check(CLI::IsMember({"refuse", "leave-out"}))
      ->capture_default_str();
}

void AddConfigOptions(CLI::App* command, LaunchOptions* options, const std::string& dry_run) {
  command->add_option("config", options->config, "config file (textproto, YAML or JSON)")
      ->required();
  command->add_option("--set", options->set, "override a config key: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", options->dry_run, dry_run);
  command->add_flag("--resume", options->resume, "continue the run of this config");
}

CLI::Option* AddMetrics(CLI::App* command, LaunchOptions* options) {
  return command->add_flag("--metrics", options->metrics,
                           "serve each process's metrics to Prometheus, which RUN/targets tells "
                           "(docs/metrics.md); a cluster's always do");
}

CLI::Option* AddVerbose(CLI::App* command, LaunchOptions* options) {
  return command->add_flag("--verbose", options->verbose,
                           "a line for each step; always where the output is no terminal");
}

void AddTrain(CLI::App* app, LaunchOptions* options) {
  CLI::App* command = app->add_subcommand(
      "train", "Train a model as a config describes, on this machine (launch --local)");
  AddConfigOptions(command, options,
                   "print config, stages, memory and disk space, and start nothing");
  AddMetrics(command, options);
  AddVerbose(command, options);
  command->footer(
      "Examples:\n"
      "  reckon train recipes/quickstart.textproto --set model.path=models/smollm2-135m\n"
      "  reckon train recipes/quickstart.textproto --set stage[1].ei.rounds=3 --dry-run\n"
      "  reckon train recipes/quickstart.textproto --set model.path=models/smollm2-135m --resume");
}

void AddLaunch(CLI::App* app, LaunchOptions* options) {
  CLI::App* command =
      app->add_subcommand("launch", "Run a config on this machine, on Slurm or on Kubernetes");
  AddConfigOptions(command, options,
                   "print config, stages, memory and the files for the scheduler; start nothing");
  CLI::Option* local = command->add_flag_callback(
      "--local", [options] { options->target = LaunchOptions::Target::kLocal; },
      "on this machine, until the run has ended; the default");
  CLI::Option* slurm = command->add_flag_callback(
      "--slurm", [options] { options->target = LaunchOptions::Target::kSlurm; },
      "submit it to Slurm");
  CLI::Option* kubernetes = command->add_flag_callback(
      "--kubernetes", [options] { options->target = LaunchOptions::Target::kKubernetes; },
      "write its manifests for Kubernetes");
  command->add_flag("--apply", options->apply, "give the manifests to kubectl")->needs(kubernetes);
  local->excludes(slurm)->excludes(kubernetes);
  slurm->excludes(kubernetes);
  AddMetrics(command, options)->excludes(slurm)->excludes(kubernetes);
  AddVerbose(command, options)->excludes(slurm)->excludes(kubernetes);
  command->footer(
      "The config's `resources` say how many processes there are and what each gets.\n"
      "Examples:\n"
      "  reckon launch recipes/quickstart.textproto --set model.path=models/smollm2-135m\n"
      "  reckon launch run.textproto --slurm --set slurm.time_limit_minutes=240 --dry-run\n"
      "  reckon launch run.textproto --slurm --set resources.actors=16\n"
      "  reckon launch run.textproto --kubernetes --apply");
}

void AddSft(CLI::App* app, SftOptions* options) {
  CLI::App* command =
      app->add_subcommand("sft", "Fine-tune a model on worked solutions, without a config");
  command->add_option("--model", options->model, "model folder to start from (Hugging Face layout)")
      ->required();
  command->add_option("--base", options->base,
                      "folder of the base model, if --model is an adapter folder of PEFT");
  command->add_option("--data", options->data, "JSONL file of problems, or builtin")->required();
  command->add_option("--eval-data", options->eval_data,
                      "JSONL file to evaluate on; default: builtin if --data is");
  command->add_option("--output", options->output, "run directory to create")->required();
  command->add_option("--epochs", options->epochs, "passes over the data")
      ->check(Allowed<TrainingSettings>("epochs"))
      ->capture_default_str();
  command->add_option("--batch-size", options->batch_size, "training sequences per optimizer step")
      ->check(Allowed<TrainingSettings>("batch_size"))
      ->capture_default_str();
  command->add_option("--learning-rate", options->learning_rate, "learning rate after warm-up")
      ->check(Allowed<TrainingSettings>("learning_rate"))
      ->capture_default_str();
  command
      ->add_option("--min-learning-rate", options->min_learning_rate,
                   "learning rate at the end of the cosine decay")
      ->check(Allowed<TrainingSettings>("min_learning_rate"))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "use this many problems only; 0: all");
  command->add_option("--format", options->format, "how prompts are written")
      ->check(CLI::IsMember({"plain", "chat"}))
      ->capture_default_str();
  AddChatOptions(command, &options->system_prompt, &options->chat_template_kwargs);
  command->add_option("--ranks", options->ranks, "learner processes")
      ->check(Allowed<ResourceSettings>("learner_ranks"))
      ->capture_default_str();
  command->add_flag("--resume", options->resume, "continue the run in --output");
  command->footer(
      "The trained model is in OUTPUT/weights/sft.\nExamples:\n"
      "  reckon sft --model models/smollm2-135m --data builtin --output runs/my_sft\n"
      "  reckon sft --model models/smollm2-135m --data train.jsonl --eval-data test.jsonl \\\n"
      "    --output runs/my_sft --epochs 3");
}

void AddEval(CLI::App* app, EvalOptions* options) {
  CLI::App* command =
      app->add_subcommand("eval", "Evaluate a model: maj@1, maj@K, pass@K, rerank@K");
  AddProblemOptions(command, options);
  command->add_option("--samples", options->samples, "K of maj@K and pass@K; 0: greedy only")
      ->check(Allowed<EvalSettings>("samples"))
      ->capture_default_str();
  command->add_option("--temperature", options->temperature, "temperature of the K samples")
      ->check(Allowed<EvalSettings>("temperature"))
      ->capture_default_str();
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest completion, in tokens")
      ->check(Allowed<EvalSettings>("max_new_tokens"))
      ->capture_default_str();
  command->add_option("--reward", options->reward, "strict: '#### N'; flexible: the last number")
      ->check(CLI::IsMember({"strict", "flexible"}))
      ->capture_default_str();
  command
      ->add_option("--command", options->command,
                   "a program of your own tells right from wrong, as in \"python3 my_reward.py\" "
                   "(docs/rewards.md)")
      ->excludes("--reward");
  command->add_option("--orm", options->orm,
                      "reward model, as <run>/orm/<stage>; adds rerank@K of the same samples");
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
  CLI::App* command = app->add_subcommand(
      "score", "Print log-probabilities of given answers, one JSON line per problem");
  AddProblemOptions(command, options);
  command->footer(
      "Examples:\n"
      "  reckon score --model models/smollm2-135m --data test.jsonl --limit 10\n"
      "  reckon score --model models/smollm2-135m --data builtin > scores.jsonl");
}

void AddScoreRewards(CLI::App* app, ScoreRewardsOptions* options) {
  CLI::App* command = app->add_subcommand(
      "score-rewards", "Try rewards on answers that are there already, before a run");
  command
      ->add_option("what", options->what,
                   "config (.textproto), or data: a JSONL, JSON or CSV file, or builtin")
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
}

void AddShow(CLI::App* app, ShowOptions* options) {
  CLI::App* command = app->add_subcommand(
      "show", "Show rollouts of a run: prompt, completion, rewards and verdicts");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--plan", options->plan, "plan to show; default: the newest");
  command->add_option("--limit", options->limit, "rollouts to show")->capture_default_str();
  CLI::Option* wrong =
      command->add_flag("--wrong", options->wrong, "only rollouts that are not correct");
  command->add_flag("--correct", options->correct, "only correct rollouts")->excludes(wrong);
  command->footer(
      "Examples:\n"
      "  reckon show runs/quickstart\n"
      "  reckon show runs/quickstart --plan eval/0_start/greedy --wrong --limit 20");
}

void AddReport(CLI::App* app, ReportOptions* options) {
  CLI::App* command = app->add_subcommand(
      "report", "Write one HTML file of runs: results, curves, time, and a browser of rollouts");
  command->add_option("run", options->runs, "run directories")->required();
  command->add_option("-o,--output", options->output,
                      "file to write; default: report.html in the first run's directory");
  command->footer(
      "Examples:\n"
      "  reckon report runs/quickstart\n"
      "  reckon report runs/ei runs/ppo -o compared.html");
}

void AddRollouts(CLI::App* app, RolloutsOptions* options) {
  CLI::App* command =
      app->add_subcommand("rollouts", "List the rollouts of a run, or print them as JSON lines");
  command->add_option("run", options->run, "run directory")->required();
  command->add_flag("--jsonl", options->jsonl,
                    "one JSON object a line, with tokens and log-probabilities (docs/looking.md)");
  command->add_option("--plan", options->plan, "of this plan only");
  command->add_option("--limit", options->limit, "rollouts to print; 0: all")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  reckon rollouts runs/quickstart --plan eval/0_start/greedy\n"
      "  reckon rollouts runs/quickstart --jsonl > rollouts.jsonl");
}

void AddWatch(CLI::App* app, WatchOptions* options) {
  CLI::App* command =
      app->add_subcommand("watch", "Serve the report of a run to a browser, kept up to date");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--port", options->port, "port on 127.0.0.1; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->footer(
      "Read-only, and for this machine alone. From elsewhere: ssh -L 8000:127.0.0.1:8000 HOST\n"
      "Example:\n"
      "  reckon watch runs/quickstart --port 8000");
}

void AddReplay(CLI::App* app, ReplayOptions* options) {
  CLI::App* command = app->add_subcommand(
      "replay", "Generate a rollout again from its key, and say whether it is the same");
  command->add_option("run", options->run, "run directory")->required();
  command->add_option("--rollout", options->key, "PLAN/GROUP/SAMPLE, as in ppo_1/12/3")->required();
  command->footer(
      "The folder of the weight version must have been kept (keep_last, keep_evaluated).\n"
      "Example:\n"
      "  reckon replay runs/quickstart --rollout eval/0_start/greedy/12/0");
}

void AddCerts(CLI::App* app, CertsOptions* options) {
  CLI::App* command = app->add_subcommand(
      "certs", "Make the certificates and the token by which the parts of a run know each other");
  command->add_option("--run", options->run, "name of the run")->required();
  command->add_option("--out", options->output, "folder to create")->required();
  command->add_option("--days", options->days, "days that the certificates are valid")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  command->add_flag("--forget-authority", options->forget_authority,
                    "delete the authority's key at once: no more certificates can be made");
  command
      ->add_option("--rotate", options->rotate,
                   "do one step of replacing authority and token while the run continues")
      ->check(CLI::IsMember({"trust", "use", "forget"}));
  command->footer(
      "`reckon launch` makes certificates by itself. With an authority/ca.key in the folder, certs "
      "renews\nthe certificates by the same authority.\nExamples:\n"
      "  reckon certs --run gsm8k --out certificates --days 30\n"
      "  reckon-coordinator --run=gsm8k --certificates=certificates/coordinator --listen=[::]:7070 "
      "...\n"
      "  reckon certs --run gsm8k --out certificates --rotate trust");
}

void AddSweep(CLI::App* app, SweepOptions* options) {
  CLI::App* command = app->add_subcommand(
      "sweep", "Run many configs, several at a time, and write one report of them");
  command
      ->add_option("sweep", options->sweep, "sweep file (textproto, YAML or JSON; docs/sweeps.md)")
      ->required();
  command
      ->add_option("--set", options->overrides.set,
                   "override a config key of all runs but starts: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--start-set", options->overrides.start_set,
                   "override a config key of the runs that others begin from")
      ->allow_extra_args(false);
  CLI::Option* dry_run =
      command->add_flag("--dry-run", options->dry_run,
                        "print every run with its command and memory, and start nothing");
  command
      ->add_flag("--report-only", options->report_only,
                 "write the report of what there is, and start nothing")
      ->excludes(dry_run);
  command->add_option("--parallel", options->parallel, "runs at a time; default: as the file says")
      ->check(Allowed<Sweep>("parallel"));
  CLI::Option* local = command->add_flag_callback(
      "--local", [options] { options->engine = SweepEngine::kLocal; },
      "on this machine; the default");
  CLI::Option* slurm = command->add_flag_callback(
      "--slurm", [options] { options->engine = SweepEngine::kSlurm; }, "submit the runs to Slurm");
  CLI::Option* kubernetes = command->add_flag_callback(
      "--kubernetes", [options] { options->engine = SweepEngine::kKubernetes; },
      "hand the runs to kubectl");
  local->excludes(slurm)->excludes(kubernetes);
  slurm->excludes(kubernetes);
  command->footer(
      "Runs are in OUTPUT_DIR/NAME/runs. Finished ones are taken as they are, interrupted ones "
      "are\n"
      "resumed: type the same command again. Writes report.html and results.csv beside them.\n"
      "Examples:\n"
      "  reckon sweep recipes/sweeps/tiny_compare.textproto --dry-run\n"
      "  reckon sweep recipes/sweeps/tiny_compare.textproto\n"
      "  reckon sweep recipes/sweeps/tiny_scaling.textproto --slurm --parallel 4\n"
      "  reckon sweep recipes/sweeps/tiny_compare.textproto --report-only");
}

void AddBench(CLI::App* app, CoordinatorBenchOptions* coordinator) {
  CLI::App* bench = app->add_subcommand("bench", "Measure how fast a part of Reckon is");
  bench->require_subcommand(1);
  CLI::App* command = bench->add_subcommand(
      "coordinator", "Offer rollouts to a coordinator at a fixed rate: latency, CPU and memory");
  command->add_option("--rate", coordinator->rate, "rollouts per second, over all streams")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command->add_option("--streams", coordinator->streams, "streams, one for each actor")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--bytes", coordinator->rollout_bytes, "bytes of a rollout")
      ->check(CLI::Range(512, 1 << 20))
      ->capture_default_str();
  command->add_option("--seconds", coordinator->seconds, "how long rollouts are offered")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  command->add_option("--folder", coordinator->folder, "folder on the disk to measure")
      ->capture_default_str();
  command
      ->add_option("--durable-every", coordinator->durable_every,
                   "batches that one checkpoint covers; with --retention SELECTED they are deleted")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--retention", coordinator->retention, "as coordinator.retention");
  command->add_flag("--json", coordinator->json, "print one JSON object");
  command->footer(
      "Latency is from the time that a rollout was due to its acknowledgement.\nExamples:\n"
      "  reckon bench coordinator\n"
      "  reckon bench coordinator --rate 5000 --seconds 60 --json");
}

bool IsCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return true;
  }
  return false;
}

int Main(int argc, char** argv, std::stop_token stop) {
  CLI::App app("Reckon trains language models to reason with reinforcement learning.");
  app.name("reckon");
  app.set_version_flag("--version", "reckon " RECKON_VERSION);
  app.require_subcommand(1);
  app.footer("`reckon COMMAND --help` shows the options of a command and examples.");

  LaunchOptions train, launch;
  SftOptions sft;
  EvalOptions eval;
  ScoreOptions score;
  ScoreRewardsOptions score_rewards;
  ShowOptions show;
  ReportOptions report;
  RolloutsOptions rollouts;
  ReplayOptions replay;
  WatchOptions watch;
  CertsOptions certs;
  SweepOptions sweep;
  CoordinatorBenchOptions bench_coordinator;
  AddTrain(&app, &train);
  AddLaunch(&app, &launch);
  AddSft(&app, &sft);
  AddEval(&app, &eval);
  AddScore(&app, &score);
  AddScoreRewards(&app, &score_rewards);
  AddShow(&app, &show);
  AddReport(&app, &report);
  AddRollouts(&app, &rollouts);
  AddReplay(&app, &replay);
  AddWatch(&app, &watch);
  AddCerts(&app, &certs);
  AddSweep(&app, &sweep);
  AddBench(&app, &bench_coordinator);
  app.add_subcommand("doctor", "Check whether this machine can run Reckon")
      ->footer("Example:\n  reckon doctor");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // --help and --version are such errors as well
    if (error.get_exit_code() == 0) return app.exit(error);
    if (argc > 1 && argv[1][0] != '-' && !IsCommand(app, argv[1])) {
      std::cerr << "reckon: no command '" << argv[1]
                << "'; the commands are train, launch, sft, eval, score, score-rewards, show, "
                   "report, rollouts, "
                   "replay, watch, certs, sweep, bench and doctor\n";
      return kUsageError;
    }
    std::cerr << "reckon: " << error.what() << "; see reckon --help or reckon COMMAND --help\n";
    return kUsageError;
  }

  absl::Status status;
  if (app.got_subcommand("train")) status = Launch(train, stop);
  if (app.got_subcommand("launch")) status = Launch(launch, stop);
  if (app.got_subcommand("sft")) status = Sft(sft, stop);
  if (app.got_subcommand("eval")) status = Eval(eval, stop);
  if (app.got_subcommand("score")) status = Score(score, stop);
  if (app.got_subcommand("score-rewards")) status = ScoreRewards(score_rewards, stop);
  if (app.got_subcommand("show")) status = Show(show, stop);
  if (app.got_subcommand("report")) status = Report(report, stop);
  if (app.got_subcommand("rollouts")) status = Rollouts(rollouts, &std::cout, stop);
  if (app.got_subcommand("replay")) status = ReplayRollout(replay, stop);
  if (app.got_subcommand("watch")) status = Watch(watch, stop);
  if (app.got_subcommand("certs")) status = Certs(certs);
  if (app.got_subcommand("sweep")) status = RunSweep(sweep, stop);
  if (app.got_subcommand("bench")) status = BenchCoordinator(bench_coordinator, stop);
  if (app.got_subcommand("doctor")) status = Doctor(stop);
  if (status.ok()) return 0;
  std::cerr << "reckon: " << status.message() << std::endl;
  return absl::IsCancelled(status) && stop.stop_requested() ? kStopped : 1;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  std::stop_source stop;
  reckon::StopOnSignals(stop);
  reckon::InitLogging(argv[0]);
  FLAGS_minloglevel = google::GLOG_ERROR;  // errors are printed by Main
  return reckon::Main(argc, argv, stop.get_token());
}
