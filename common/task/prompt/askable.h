#ifndef RECKON_COMMON_TASK_PROMPT_ASKABLE_H_
#define RECKON_COMMON_TASK_PROMPT_ASKABLE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/bad_records.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/prompt_format.h"
#include "proto/config.pb.h"

namespace reckon {

// Problems that this model cannot be asked, as a chat whose roles its template refuses, are bad
// records too: takes them out of `problems` and adds them to `left_out`, or refuses them, as the
// rule says. `setting`, as "data.train", is for the error. INVALID_ARGUMENT as well if none is
// left.
absl::Status KeepAskable(const PromptFormatter& formatter, DataSettings::Bad::Records rule,
                         absl::string_view setting, std::vector<Problem>* problems,
                         BadRecords* left_out);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_ASKABLE_H_
