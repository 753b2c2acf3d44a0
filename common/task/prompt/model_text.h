#ifndef RECKON_COMMON_TASK_PROMPT_MODEL_TEXT_H_
#define RECKON_COMMON_TASK_PROMPT_MODEL_TEXT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"
#include "common/text/chat_template.h"
#include "common/text/end_tokens.h"
#include "common/text/tokenizer.h"
#include "proto/config.pb.h"
#include "proto/weights.pb.h"

namespace reckon {

// What turns problems into the tokens of one model: assembled here alone, so that training,
// rollouts, `reckon eval` and `reckon score` ask in the same way, and the checks of the command
// line see what the learner will. Immutable once loaded.
struct ModelText {
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<const ChatTemplate> chat;  // null unless the format of the settings is CHAT
  EndTokens ends;                            // of the model's files
  std::string system_prompt;                 // of CHAT
  DataSettings::Answers answers = DataSettings::NUMBERS;
};

// Reads the model's files by `settings`: format, chat_template_kwargs, system_prompt and answers.
// Errors
// name the file and the field, or the setting.
absl::StatusOr<ModelText> LoadModelText(const FolderTexts& model, const DataSettings& settings);

// A formatter, which borrows `text`. `examples`: of FEW_SHOT. Errors are those of
// PromptFormatter::Create.
absl::StatusOr<PromptFormatter> MakeFormatter(const ModelText& text, DataSettings::Format format,
                                              std::vector<Problem> examples);

// The worked examples of FEW_SHOT that training problems give: the first few_shot_examples.
std::vector<Problem> FirstExamples(const DataSettings& settings, const std::vector<Problem>& train);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_MODEL_TEXT_H_
