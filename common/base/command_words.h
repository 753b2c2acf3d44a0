#ifndef RECKON_COMMON_BASE_COMMAND_WORDS_H_
#define RECKON_COMMON_BASE_COMMAND_WORDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Splits a command into program and arguments by the rules of a POSIX shell for blanks, '…', "…"
// and backslashes, and by none of its others: nothing is expanded, and a character that a shell
// would act on ($, `, |, &, ;, <, >, (, ), *, ?, ~, #) must be quoted, so that nobody believes that
// a shell runs. INVALID_ARGUMENT says which character, or that a quote is open or there is no word.
absl::StatusOr<std::vector<std::string>> SplitCommand(absl::string_view command);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_COMMAND_WORDS_H_
