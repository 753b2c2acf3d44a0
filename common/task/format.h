#ifndef RECKON_COMMON_TASK_FORMAT_H_
#define RECKON_COMMON_TASK_FORMAT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/problem.h"
#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"
#include "proto/config.pb.h"

namespace reckon {

// Turns problems into prompt tokens and worked solutions into completion tokens, one way for
// training, rollouts and evaluation. Holds pointers: tokenizer and chat template must outlive it.
// Immutable, so any thread may use it.
//
// PLAIN     "Question: ...\nAnswer:", then " " and the solution (lm-evaluation-harness's layout).
// FEW_SHOT  the same behind worked examples, a blank line between.
// CHAT      the model's own template around the question and an instruction.
//
// Prompt and completion are encoded apart: the border between them is always a border of tokens.
// Problems' text is never read as special tokens.
class PromptFormatter {
 public:
  // `examples`: worked problems for FEW_SHOT, empty otherwise. `chat` may be null unless CHAT.
  // FAILED_PRECONDITION when the format needs something that is not there.
  static absl::StatusOr<PromptFormatter> Create(DataSettings::Format format,
                                                const Tokenizer* tokenizer,
                                                const ChatTemplate* chat,
                                                std::vector<Problem> examples);

  // A FEW_SHOT example is left out of its own question's prompt.
  std::string PromptText(const Problem& problem) const;
  std::vector<uint32_t> Prompt(const Problem& problem) const;
  // Tokens that a perfect sample would hold: the solution and the token that ends it.
  std::vector<uint32_t> Completion(const std::string& solution) const;

  // What ends a sample: ids first, then strings to cut at.
  std::vector<uint32_t> StopTokenIds() const;
  std::vector<std::string> StopStrings() const;

 private:
  PromptFormatter(DataSettings::Format format, const Tokenizer* tokenizer, const ChatTemplate* chat,
                  std::vector<Problem> examples, std::vector<uint32_t> end_ids)
      : format_(format),
        tokenizer_(tokenizer),
        chat_(chat),
        examples_(std::move(examples)),
        end_ids_(std::move(end_ids)) {}

  DataSettings::Format format_;
  const Tokenizer* tokenizer_;
  const ChatTemplate* chat_;
  std::vector<Problem> examples_;
  std::vector<uint32_t> end_ids_;  // the first one is what completions end with
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_FORMAT_H_
