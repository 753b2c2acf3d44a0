#include "common/task/prompt/prompt_format.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/task/prompt/completion_end.h"

namespace reckon {
namespace {

constexpr absl::string_view kInstruction =
    "Solve the problem step by step, one step a line. Then write the final answer, a number alone, "
    "on a last line that starts with ####, like this: #### 42";

std::string Ask(const Problem& problem) {
  return absl::StrCat("Question: ", problem.question, "\nAnswer:");
}

std::string ChatPrompt(const ChatTemplate& chat, absl::string_view question) {
  return chat.Render({{"user", absl::StrCat(question, "\n\n", kInstruction)}},
                     /*add_generation_prompt=*/true);
}

}  // namespace

absl::StatusOr<PromptFormatter> PromptFormatter::Create(DataSettings::Format format,
                                                        const Tokenizer* tokenizer,
                                                        const ChatTemplate* chat,
                                                        std::vector<Problem> examples,
                                                        const EndTokens& ends) {
  if (format == DataSettings::CHAT && chat == nullptr) {
    return absl::FailedPreconditionError(
        "data.format CHAT needs a model with a chat template; use PLAIN or FEW_SHOT");
  }
  if (format != DataSettings::FEW_SHOT) examples.clear();
  if (format == DataSettings::FEW_SHOT && examples.empty()) {
    return absl::FailedPreconditionError("data.format FEW_SHOT needs worked examples");
  }
  for (const Problem& example : examples) {
    if (example.solution.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("data.format FEW_SHOT needs worked examples, and ", example.source,
                       " has an answer without a worked solution; use PLAIN or CHAT"));
    }
  }
  ASSIGN_OR_RETURN(std::vector<uint32_t> end_ids,
                   CompletionEnds(ends, *tokenizer, format == DataSettings::CHAT ? chat : nullptr));
  return PromptFormatter(format, tokenizer, chat, std::move(examples), std::move(end_ids));
}

std::string PromptFormatter::PromptText(const Problem& problem) const {
  if (format_ == DataSettings::CHAT) return ChatPrompt(*chat_, problem.question);
  std::string text;
  for (const Problem& example : examples_) {
    if (example.question == problem.question) continue;  // it contains the solution
    absl::StrAppend(&text, Ask(example), " ", absl::StripAsciiWhitespace(example.solution), "\n\n");
  }
  return absl::StrCat(text, Ask(problem));
}

std::vector<uint32_t> PromptFormatter::Prompt(const Problem& problem) const {
  const std::string text = PromptText(problem);
  if (format_ != DataSettings::CHAT) {
    return tokenizer_->EncodeBeginning(text);  // a chat template writes its own first token
  }
  const std::string& question = problem.question;
  std::vector<uint32_t> plain = tokenizer_->Encode(question, false);
  if (plain == tokenizer_->Encode(question, true)) return tokenizer_->Encode(text, true);
  // The question spells a special token. Encode the template around a placeholder with its special
  // tokens, and the question between them as plain text. The template contains the question once.
  const std::string around = ChatPrompt(*chat_, "@");
  const size_t head = around.find(absl::StrCat("@\n\n", kInstruction));
  std::vector<uint32_t> ids = tokenizer_->Encode(absl::string_view(around).substr(0, head), true);
  plain = tokenizer_->Encode(absl::string_view(text).substr(head, text.size() + 1 - around.size()),
                             false);
  ids.insert(ids.end(), plain.begin(), plain.end());
  const auto tail = tokenizer_->Encode(absl::string_view(around).substr(head + 1), true);
  ids.insert(ids.end(), tail.begin(), tail.end());
  return ids;
}

std::vector<uint32_t> PromptFormatter::Completion(const std::string& solution) const {
  // Most chat prompts end with a newline; Llama 2's with "[/INST]", the others with "Answer:".
  const bool chat = format_ == DataSettings::CHAT;
  const absl::string_view lead = chat && absl::EndsWith(ChatPrompt(*chat_, ""), "\n") ? "" : " ";
  std::vector<uint32_t> ids = tokenizer_->Encode(
      absl::StrCat(lead, absl::StripAsciiWhitespace(solution)), /*parse_special=*/false);
  ids.push_back(end_ids_.front());
  return ids;
}

std::vector<uint32_t> PromptFormatter::StopTokenIds() const { return end_ids_; }

std::vector<std::string> PromptFormatter::StopStrings() const {
  // After its answer a base model continues with a question of its own.
  if (format_ == DataSettings::CHAT) return {};
  return {"\nQuestion:"};
}

}  // namespace reckon
