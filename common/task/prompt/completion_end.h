#ifndef RECKON_COMMON_TASK_PROMPT_COMPLETION_END_H_
#define RECKON_COMMON_TASK_PROMPT_COMPLETION_END_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/text/chat_template.h"
#include "common/text/end_tokens.h"
#include "common/text/tokenizer.h"

namespace reckon {

// The tokens at which a completion ends. The first is the one that trained completions end with,
// and that an exported model names as its end: what the chat template writes after an answer, or
// without one (`chat` null) the tokenizer's end of text. The others are all that the model's files
// name. FAILED_PRECONDITION: there is none.
absl::StatusOr<std::vector<uint32_t>> CompletionEnds(const EndTokens& ends,
                                                     const Tokenizer& tokenizer,
                                                     const ChatTemplate* chat);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_COMPLETION_END_H_
