#include "common/task/prompt/prompt_format.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/task/prompt/completion_end.h"

namespace reckon {
namespace {

constexpr absl::string_view kNumberInstruction =
    "Solve the problem step by step, one step a line. Then write the final answer, a number alone, "
    "on a last line that starts with ####, like this: #### 42";
// Of many published evaluations on MATH.
constexpr absl::string_view kBoxedInstruction =
    "Please reason step by step, and put your final answer within \\boxed{}.";

std::string Ask(const Problem& problem) {
  return absl::StrCat("Question: ", problem.question, "\nAnswer:");
}

}  // namespace

absl::StatusOr<PromptFormatter> PromptFormatter::Create(
    DataSettings::Format format, const Tokenizer* tokenizer, const ChatTemplate* chat,
    std::vector<Problem> examples, const EndTokens& ends, std::string system_prompt,
    DataSettings::Answers answers) {
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
  if (format != DataSettings::CHAT && !system_prompt.empty()) {
    return absl::InvalidArgumentError(
        "data.system_prompt is for data.format CHAT; remove it, or set CHAT");
  }
  PromptFormatter made(format, tokenizer, chat, std::move(examples), std::move(end_ids),
                       std::move(system_prompt),
                       answers == DataSettings::BOXED ? kBoxedInstruction : kNumberInstruction);
  made.lead_ = " ";
  if (format == DataSettings::CHAT) {
    absl::StatusOr<std::string> prompt = made.ChatPrompt("");
    if (!prompt.ok() && !made.system_prompt_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("with data.system_prompt, ", prompt.status().message()));
    }
    RETURN_IF_ERROR(prompt.status());
    // Most chat prompts end with a newline; Llama 2's with "[/INST]", the others with "Answer:".
    if (absl::EndsWith(*prompt, "\n")) made.lead_ = "";
  }
  return made;
}

absl::Status PromptFormatter::Check(const std::vector<Problem>& problems) const {
  for (const Problem& problem : problems) {
    absl::Status status = TryPrompt(problem).status();
    if (status.ok()) status = TryCompletion(problem.solution).status();
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(problem.source, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PromptFormatter::ChatPrompt(absl::string_view question) const {
  std::vector<ChatMessage> messages;
  if (!system_prompt_.empty()) messages.push_back({"system", system_prompt_});
  messages.push_back({"user", absl::StrCat(question, "\n\n", instruction_)});
  return chat_->Render(messages, /*add_generation_prompt=*/true);
}

absl::StatusOr<std::string> PromptFormatter::TryPromptText(const Problem& problem) const {
  if (format_ == DataSettings::CHAT) return ChatPrompt(problem.question);
  std::string text;
  for (const Problem& example : examples_) {
    if (example.question == problem.question) continue;  // it contains the solution
    absl::StrAppend(&text, Ask(example), " ", absl::StripAsciiWhitespace(example.solution), "\n\n");
  }
  return absl::StrCat(text, Ask(problem));
}

absl::StatusOr<std::vector<uint32_t>> PromptFormatter::TryPrompt(const Problem& problem) const {
  ASSIGN_OR_RETURN(const std::string text, TryPromptText(problem));
  if (format_ != DataSettings::CHAT) {
    return tokenizer_->EncodeBeginning(text);  // a chat template writes its own first token
  }
  const std::string& question = problem.question;
  ASSIGN_OR_RETURN(const std::vector<uint32_t> plain, tokenizer_->Encode(question, false));
  ASSIGN_OR_RETURN(const std::vector<uint32_t> parsed, tokenizer_->Encode(question, true));
  if (plain == parsed) return tokenizer_->EncodeWhole(text);
  // The question spells a special token. Encode the template around a placeholder with its special
  // tokens, and the question between them as plain text. The template contains the question once.
  ASSIGN_OR_RETURN(const std::string around, ChatPrompt("@"));
  const size_t head = around.find(absl::StrCat("@\n\n", instruction_));
  if (head == std::string::npos) {
    return absl::InvalidArgumentError(
        "the question spells a special token, and the chat template changes the question, so it "
        "cannot be encoded as plain text");
  }
  ASSIGN_OR_RETURN(std::vector<uint32_t> ids,
                   tokenizer_->EncodeWhole(absl::string_view(around).substr(0, head)));
  const size_t length = text.size() + 1 - around.size();  // the template may have stripped it
  ASSIGN_OR_RETURN(const std::vector<uint32_t> asked,
                   tokenizer_->Encode(absl::string_view(text).substr(head, length), false));
  ids.insert(ids.end(), asked.begin(), asked.end());
  ASSIGN_OR_RETURN(const std::vector<uint32_t> tail,
                   tokenizer_->Encode(absl::string_view(around).substr(head + 1), true));
  ids.insert(ids.end(), tail.begin(), tail.end());
  return ids;
}

absl::StatusOr<std::vector<uint32_t>> PromptFormatter::TryCompletion(
    const std::string& solution) const {
  ASSIGN_OR_RETURN(std::vector<uint32_t> ids,
                   tokenizer_->Encode(absl::StrCat(lead_, absl::StripAsciiWhitespace(solution)),
                                      /*parse_special=*/false));
  ids.push_back(end_ids_.front());
  return ids;
}

std::string PromptFormatter::PromptText(const Problem& problem) const {
  absl::StatusOr<std::string> text = TryPromptText(problem);
  CHECK(text.ok()) << "Check was not called: " << text.status();
  return *std::move(text);
}

std::vector<uint32_t> PromptFormatter::Prompt(const Problem& problem) const {
  absl::StatusOr<std::vector<uint32_t>> ids = TryPrompt(problem);
  CHECK(ids.ok()) << "Check was not called: " << ids.status();
  return *std::move(ids);
}

std::vector<uint32_t> PromptFormatter::Completion(const std::string& solution) const {
  absl::StatusOr<std::vector<uint32_t>> ids = TryCompletion(solution);
  CHECK(ids.ok()) << "Check was not called: " << ids.status();
  return *std::move(ids);
}

std::vector<uint32_t> PromptFormatter::StopTokenIds() const { return end_ids_; }

std::vector<std::string> PromptFormatter::StopStrings() const {
  // After its answer a base model continues with a question of its own.
  if (format_ == DataSettings::CHAT) return {};
  return {"\nQuestion:"};
}

}  // namespace reckon
