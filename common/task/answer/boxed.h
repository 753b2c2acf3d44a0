#ifndef RECKON_COMMON_TASK_ANSWER_BOXED_H_
#define RECKON_COMMON_TASK_ANSWER_BOXED_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace reckon {

// What the last \boxed{...}, \fbox{...} or "\boxed 5" of a text holds, trimmed. nullopt: there is
// none, or its braces are not closed, as where a text was cut. Linear in the text's length.
std::optional<absl::string_view> FindBoxed(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_BOXED_H_
