#include "cli/commands/flags.h"

#include "proto/config.pb.h"

namespace reckon {

void AddChatOptions(CLI::App* command, std::string* system_prompt, std::string* kwargs) {
  command->add_option("--system-prompt", *system_prompt,
                      "with --format chat: text of a system message before the question");
  command->add_option("--chat-template-kwargs", *kwargs,
                      "with --format chat: variables of the template as a JSON object, "
                      "'{\"enable_thinking\": false}'");
}

void AddEngineOptions(CLI::App* command, uint32_t* threads, uint32_t* max_batch,
                      uint32_t* kv_cache_mib, bool* fp32) {
  command->add_option("--threads", *threads, "compute threads; 0: all cores")
      ->check(Allowed<RoleResources>("cpus"));
  command
      ->add_option("--max-batch", *max_batch,
                   "samples generated at once; 0: 64, on a GPU what the KV cache holds")
      ->check(Allowed<ActorSettings>("max_batch"))
      ->capture_default_str();
  command
      ->add_option("--kv-cache-mib", *kv_cache_mib,
                   "size of the KV cache, MiB; 0: 1024, on a GPU what is left")
      ->check(Allowed<ActorSettings>("kv_cache_mib"))
      ->capture_default_str();
  command->add_flag("--fp32", *fp32, "compute in fp32 instead of bf16");
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
  AddEngineOptions(command, &options->threads, &options->max_batch, &options->kv_cache_mib,
                   &options->fp32);
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

}  // namespace reckon
