#ifndef RECKON_COMMON_TASK_DATASET_PROBLEM_H_
#define RECKON_COMMON_TASK_DATASET_PROBLEM_H_

#include <string>
#include <vector>

#include "common/text/chat_template.h"

namespace reckon {

// One question with its reference. `answer` is the final answer alone ("18"); `solution` is the
// worked solution with it ("#### 18" or \boxed{18}), empty where the data has none.
struct Problem {
  std::string question;
  std::string answer;
  std::string solution;
  std::string source;  // "train.jsonl:17" or "builtin:train:17"
  // The whole record, a JSON object; empty unless it was asked for, and of generated problems.
  std::string columns;
  // Of a chat record: what precedes its answer, which is asked as it is; `question` is what it asks
  // last. Else empty.
  std::vector<ChatMessage> messages;
  std::string set;  // of a mixture (MixtureSet.name); else empty
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_PROBLEM_H_
