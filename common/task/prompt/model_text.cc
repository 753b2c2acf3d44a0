#include "common/task/prompt/model_text.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace reckon {

absl::StatusOr<ModelText> LoadModelText(const FolderTexts& model, const DataSettings& settings) {
  ModelText text;
  ASSIGN_OR_RETURN(text.tokenizer,
                   Tokenizer::Create(model.tokenizer_json(), model.tokenizer_model()));
  ASSIGN_OR_RETURN(text.ends, FindEndTokens(model, *text.tokenizer));
  text.system_prompt = settings.system_prompt();
  text.answers = settings.answers();
  if (settings.format() != DataSettings::CHAT) return text;
  ASSIGN_OR_RETURN(ChatTemplate chat, ChatTemplate::Create(model.tokenizer_config_json(),
                                                           settings.chat_template_kwargs()));
  text.chat = std::make_unique<const ChatTemplate>(std::move(chat));
  return text;
}

absl::StatusOr<PromptFormatter> MakeFormatter(const ModelText& text, DataSettings::Format format,
                                              std::vector<Problem> examples) {
  return PromptFormatter::Create(format, text.tokenizer.get(), text.chat.get(), std::move(examples),
                                 text.ends, text.system_prompt, text.answers);
}

std::vector<Problem> FirstExamples(const DataSettings& settings,
                                   const std::vector<Problem>& train) {
  const size_t count = std::min<size_t>(settings.few_shot_examples(), train.size());
  return {train.begin(), train.begin() + static_cast<int64_t>(count)};
}

}  // namespace reckon
