#ifndef RECKON_COMMON_TASK_PROMPT_PROMPT_FORMAT_H_
#define RECKON_COMMON_TASK_PROMPT_PROMPT_FORMAT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/bad_records.h"
#include "common/task/dataset/problem.h"
#include "common/text/chat_template.h"
#include "common/text/end_tokens.h"
#include "common/text/tokenizer.h"
#include "proto/config.pb.h"

namespace reckon {

// Turns problems into prompt tokens and worked solutions into completion tokens, in the same way
// for training, rollouts and evaluation:
//
//   PLAIN     "Question: ...\nAnswer:", then " " and the solution (lm-evaluation-harness's layout)
//   FEW_SHOT  worked examples in that layout, separated by blank lines, then the question
//   CHAT      the model's own chat template around the question and an instruction, which says
//             how the answer is given; or around the messages of a chat record, as they are
//
// Prompt and completion are encoded separately, so no token spans both. The text of a problem is
// never read as special tokens, even if it spells one. Immutable and thread-safe. Tokenizer and
// chat template must outlive it.
class PromptFormatter {
 public:
  // `examples`: worked problems, used by FEW_SHOT only. `chat` may be null unless the format is
  // CHAT. `ends`: the model's (completion_end.h). FAILED_PRECONDITION when something that the
  // format needs is missing.
  // CHAT puts `system_prompt`, unless it is empty, before the question. INVALID_ARGUMENT when the
  // template refuses such messages.
  static absl::StatusOr<PromptFormatter> Create(
      DataSettings::Format format, const Tokenizer* tokenizer, const ChatTemplate* chat,
      std::vector<Problem> examples, const EndTokens& ends, std::string system_prompt = "",
      DataSettings::Answers answers = DataSettings::NUMBERS);

  // The problems whose prompt or worked solution cannot be rendered and encoded, which the
  // functions below need; their indices, ascending, are added to `indices`. See askable.h.
  BadRecords FindBad(const std::vector<Problem>& problems, std::vector<size_t>* indices) const;

  // A FEW_SHOT example is left out of its own question's prompt.
  std::string PromptText(const Problem& problem) const;
  std::vector<uint32_t> Prompt(const Problem& problem) const;
  // The tokens of a perfect completion: the solution and the token that ends it.
  std::vector<uint32_t> Completion(const std::string& solution) const;

  // What ends a completion: token ids, the first of which ends trained ones, and strings at which
  // it is cut.
  std::vector<uint32_t> StopTokenIds() const;
  std::vector<std::string> StopStrings() const;

 private:
  PromptFormatter(DataSettings::Format format, const Tokenizer* tokenizer, const ChatTemplate* chat,
                  std::vector<Problem> examples, std::vector<uint32_t> end_ids,
                  std::string system_prompt, absl::string_view instruction)
      : format_(format),
        tokenizer_(tokenizer),
        chat_(chat),
        examples_(std::move(examples)),
        end_ids_(std::move(end_ids)),
        system_prompt_(std::move(system_prompt)),
        instruction_(instruction) {}

  // What CHAT renders: the messages of the problem, or its question with the instruction; the
  // system prompt before them unless they have one.
  std::vector<ChatMessage> MessagesOf(const Problem& problem) const;
  // Encodes `text`, which the template has made of the messages, with the template's special tokens
  // and the contents of the messages as plain text, which spell some.
  absl::StatusOr<std::vector<uint32_t>> EncodeAround(const std::vector<ChatMessage>& messages,
                                                     absl::string_view text) const;
  absl::StatusOr<std::string> TryPromptText(const Problem& problem) const;
  absl::StatusOr<std::vector<uint32_t>> TryPrompt(const Problem& problem) const;
  absl::StatusOr<std::vector<uint32_t>> TryCompletion(const std::string& solution) const;

  DataSettings::Format format_;
  const Tokenizer* tokenizer_;
  const ChatTemplate* chat_;
  std::vector<Problem> examples_;
  std::vector<uint32_t> end_ids_;  // completions end with the first
  std::string system_prompt_;      // of CHAT; empty: none
  absl::string_view instruction_;  // of CHAT, a constant
  std::string lead_;               // before a solution
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_PROMPT_FORMAT_H_
