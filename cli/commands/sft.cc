#include "cli/commands/sft.h"

#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/commands/train.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/shell.h"
#include "common/base/status_macros.h"
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

}  // namespace reckon
