#include "common/task/prompt/prompt_format.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/task/prompt/completion_end.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::string_view kNumberInstruction =
    "Solve the problem step by step, one step a line. Then write the final answer, a number alone, "
    "on a last line that starts with ####, like this: #### 42";
// Of many published evaluations on MATH.
constexpr absl::string_view kBoxedInstruction =
    "Please reason step by step, and put your final answer within \\boxed{}.";

// After "####", a text.
constexpr absl::string_view kTextInstruction =
    "Solve the problem step by step, one step a line. Then write the final answer alone on a last "
    "line that starts with ####, like this: #### Paris";

// Of a private use, so that no template writes it.
constexpr absl::string_view kContentMark = "\xee\x80\x80";

absl::string_view InstructionOf(DataSettings::Answers answers) {
  switch (answers) {
    case DataSettings::NUMBERS:
      return kNumberInstruction;
    case DataSettings::BOXED:
      return kBoxedInstruction;
    case DataSettings::TEXT:
      return kTextInstruction;
  }
  return kNumberInstruction;
}

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
                       std::move(system_prompt), InstructionOf(answers));
  made.lead_ = " ";
  if (format == DataSettings::CHAT) {
    absl::StatusOr<std::string> prompt =
        made.chat_->Render(made.MessagesOf(Problem()), /*add_generation_prompt=*/true);
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

BadRecords PromptFormatter::FindBad(const std::vector<Problem>& problems,
                                    std::vector<size_t>* indices) const {
  BadRecords bad;
  for (size_t i = 0; i < problems.size(); ++i) {
    absl::Status status = TryPrompt(problems[i]).status();
    if (status.ok()) status = TryCompletion(problems[i].solution).status();
    if (status.ok()) continue;
    bad.Add(problems[i].source, status.message());
    indices->push_back(i);
  }
  return bad;
}

std::vector<ChatMessage> PromptFormatter::MessagesOf(const Problem& problem) const {
  std::vector<ChatMessage> messages = problem.messages;
  if (messages.empty()) {
    messages.push_back({"user", absl::StrCat(problem.question, "\n\n", instruction_)});
  }
  if (!system_prompt_.empty() && messages[0].role != "system") {
    messages.insert(messages.begin(), ChatMessage{"system", system_prompt_});
  }
  return messages;
}

absl::StatusOr<std::string> PromptFormatter::TryPromptText(const Problem& problem) const {
  if (format_ == DataSettings::CHAT) {
    return chat_->Render(MessagesOf(problem), /*add_generation_prompt=*/true);
  }
  if (problem.messages.size() > 1 ||
      (!problem.messages.empty() && problem.messages[0].role != "user")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a chat of ", problem.messages.size(), " messages before the answer, which ",
        "data.format ", DataSettings::Format_Name(format_), " cannot ask; set data.format: CHAT"));
  }
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
  const std::vector<ChatMessage> messages = MessagesOf(problem);
  bool ordinary = true;
  for (const ChatMessage& message : messages) {
    ASSIGN_OR_RETURN(const std::vector<uint32_t> plain, tokenizer_->Encode(message.content, false));
    ASSIGN_OR_RETURN(const std::vector<uint32_t> parsed, tokenizer_->Encode(message.content, true));
    ordinary &= plain == parsed;
  }
  return ordinary ? tokenizer_->EncodeWhole(text) : EncodeAround(messages, text);
}

absl::StatusOr<std::vector<uint32_t>> PromptFormatter::EncodeAround(
    const std::vector<ChatMessage>& messages, absl::string_view text) const {
  std::vector<ChatMessage> marked = messages;
  for (ChatMessage& message : marked) message.content = std::string(kContentMark);
  ASSIGN_OR_RETURN(const std::string template_text,
                   chat_->Render(marked, /*add_generation_prompt=*/true));
  // The template's own parts, one more than there are messages.
  const std::vector<absl::string_view> parts = absl::StrSplit(template_text, kContentMark);
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts.size() != messages.size() + 1 || !absl::ConsumePrefix(&text, parts[i])) {
      return absl::InvalidArgumentError(
          "the question spells a special token, and the chat template changes the question, so it "
          "cannot be encoded as plain text");
    }
    const absl::StatusOr<std::vector<uint32_t>> part =
        i == 0 ? tokenizer_->EncodeWhole(parts[i]) : tokenizer_->Encode(parts[i], true);
    RETURN_IF_ERROR(part.status());
    ids.insert(ids.end(), part->begin(), part->end());
    if (i == messages.size()) break;
    absl::string_view content = messages[i].content;
    // The template may have stripped it at one end or at both.
    for (absl::string_view stripped :
         {absl::StripTrailingAsciiWhitespace(content), absl::StripLeadingAsciiWhitespace(content),
          absl::StripAsciiWhitespace(content)}) {
      if (!absl::StartsWith(text, content)) content = stripped;
    }
    if (!absl::ConsumePrefix(&text, content)) continue;  // found out by the next part
    ASSIGN_OR_RETURN(const std::vector<uint32_t> asked, tokenizer_->Encode(content, false));
    ids.insert(ids.end(), asked.begin(), asked.end());
  }
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
  CHECK(text.ok()) << "FindBad was not asked: " << text.status();
  return *std::move(text);
}

std::vector<uint32_t> PromptFormatter::Prompt(const Problem& problem) const {
  absl::StatusOr<std::vector<uint32_t>> ids = TryPrompt(problem);
  CHECK(ids.ok()) << "FindBad was not asked: " << ids.status();
  return *std::move(ids);
}

std::vector<uint32_t> PromptFormatter::Completion(const std::string& solution) const {
  absl::StatusOr<std::vector<uint32_t>> ids = TryCompletion(solution);
  CHECK(ids.ok()) << "FindBad was not asked: " << ids.status();
  return *std::move(ids);
}

std::vector<uint32_t> PromptFormatter::StopTokenIds() const { return end_ids_; }

std::vector<std::string> PromptFormatter::StopStrings() const {
  // After its answer a base model continues with a question of its own.
  if (format_ == DataSettings::CHAT) return {};
  return {"\nQuestion:"};
}

}  // namespace reckon
