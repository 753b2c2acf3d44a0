#ifndef RECKON_COMMON_TASK_FORMAT_H_
#define RECKON_COMMON_TASK_FORMAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/task/problem.h"
#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"
#include "proto/config.pb.h"

namespace reckon {

// Turns problems into prompt tokens and worked solutions into completion tokens, one way for
// training, rollouts and evaluation. Holds pointers: tokenizer and chat template must outlive it.
class PromptFormatter {
 public:
  // `examples`: worked problems for FEW_SHOT, empty otherwise. `chat` may be null unless CHAT.
  // FAILED_PRECONDITION when the format needs something that is not there.
  static absl::StatusOr<PromptFormatter> Create(DataSettings::Format format,
                                                const Tokenizer* tokenizer,
                                                const ChatTemplate* chat,
                                                std::vector<Problem> examples);

  std::string PromptText(const Problem& problem) const;
  std::vector<uint32_t> Prompt(const Problem& problem) const;
  // Tokens that a perfect sample would hold: the solution and the token that ends it.
  std::vector<uint32_t> Completion(const std::string& solution) const;

  // What ends a sample: ids first, then strings to cut at.
  std::vector<uint32_t> StopTokenIds() const;
  std::vector<std::string> StopStrings() const;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_FORMAT_H_
