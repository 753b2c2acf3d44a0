#include "cli/commands/sft.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/commands/flags.h"
#include "cli/commands/train.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/shell.h"
#include "common/base/status_macros.h"
#include "common/config/override.h"
#include "common/config/resolve.h"
#include "common/config/validate.h"

namespace reckon {
namespace {

absl::StatusOr<RunConfig> MakeConfig(const SftOptions& options) {
  const std::filesystem::path output(AbsolutePath(options.output));
  RunConfig config;
  config.set_name(output.filename().string());
  config.set_output_dir(output.parent_path().string());
  config.mutable_model()->set_path(options.model);
  if (!options.base.empty()) config.mutable_model()->set_base(options.base);
  DataSettings* data = config.mutable_data();
  data->set_train(options.data);
  if (!options.eval_data.empty()) data->set_eval(options.eval_data);
  if (options.eval_data.empty() && options.data != "builtin") {
    return absl::InvalidArgumentError(
        "--eval-data: is required when --data is a file, because the model is evaluated before and "
        "after training; set it to a file or to builtin");
  }
  DataSettings::Format format;
  if (!DataSettings::Format_Parse(absl::AsciiStrToUpper(options.format), &format)) {
    return absl::InvalidArgumentError("--format: must be plain or chat");
  }
  data->set_format(format);
  if (!options.system_prompt.empty()) data->set_system_prompt(options.system_prompt);
  if (!options.chat_template_kwargs.empty()) {
    data->set_chat_template_kwargs(options.chat_template_kwargs);
  }
  config.mutable_resources()->set_learner_ranks(options.ranks);
  TrainingSettings* training = config.mutable_training();
  training->set_epochs(options.epochs);
  training->set_batch_size(options.batch_size);
  training->set_learning_rate(options.learning_rate);
  training->set_min_learning_rate(options.min_learning_rate);
  Stage* stage = config.add_stage();
  stage->set_name("sft");
  stage->mutable_sft()->set_limit(options.limit);
  for (const std::string& assignment : options.set) {
    RETURN_IF_ERROR(ApplyOverride(assignment, &config));
  }
  ResolveConfig(&config);
  RETURN_IF_ERROR(ValidateConfig(config));
  return config;
}

}  // namespace

absl::Status Sft(const SftOptions& options, std::stop_token stop) {
  ASSIGN_OR_RETURN(RunConfig config, MakeConfig(options));
  return TrainConfig(
      std::move(config),
      {.resume = options.resume,
       .resume_command = absl::StrCat(
           "reckon sft --model ", ShellQuoted(options.model), " --data ", ShellQuoted(options.data),
           " --output ", ShellQuoted(options.output), " ... --resume (with the same options)")},
      stop);
}

CommandRun AddSft(CLI::App* app) {
  const auto options = std::make_shared<SftOptions>();
  CLI::App* command =
      app->add_subcommand("sft", "Fine-tune a model on worked solutions, without a config");
  command->add_option("--model", options->model, "model folder to start from (Hugging Face layout)")
      ->required();
  command->add_option("--base", options->base,
                      "folder of the base model, if --model is an adapter folder of PEFT");
  command->add_option("--data", options->data, "file or folder of problems, or builtin")
      ->required();
  command->add_option("--eval-data", options->eval_data,
                      "file or folder to evaluate on; default: builtin if --data is");
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
  command->add_option("--set", options->set,
                      "another setting of a config: KEY=VALUE, may be repeated");
  command->add_flag("--resume", options->resume, "continue the run in --output");
  command->footer(
      "The trained model is in OUTPUT/weights/sft.\nExamples:\n"
      "  reckon sft --model models/smollm2-135m --data builtin --output runs/my_sft\n"
      "  reckon sft --model models/smollm2-135m --data train.jsonl --eval-data test.jsonl \\\n"
      "    --output runs/my_sft --epochs 3\n"
      "  reckon sft --model models/smollm2-135m --data chats.jsonl --eval-data chats.jsonl \\\n"
      "    --output runs/my_sft --format chat --set data.question_key=messages");
  return [options](std::stop_token stop) { return Sft(*options, stop); };
}

}  // namespace reckon
