#ifndef RECKON_COMMON_TASK_DATASET_PROBLEM_H_
#define RECKON_COMMON_TASK_DATASET_PROBLEM_H_

#include <string>
#include <vector>

#include "common/text/chat_template.h"

namespace reckon {

// What reads the answers of problems.
enum class AnswerUse {
  kCompared,    // rewards and metrics of ours: those that cannot be compared are told
  kOwnRewards,  // also rewards of the user's own (reward/own_rewards.h): problems keep all columns
                // of their records, and answers may be anything
  kNone,        // those alone: as kOwnRewards, and a record may lack the answer
};

// One question with its reference. `answer` is the final answer alone ("18"); `solution` is the
// worked solution with it ("#### 18" or \boxed{18}), empty where the data has none.
struct Problem {
  std::string question;
  std::string answer;  // empty only with AnswerUse::kNone
  std::string solution;
  std::string source;  // "train.jsonl:17" or "builtin:train:17"
  // The whole record, a JSON object; empty unless a reward may read it, and of generated problems.
  std::string columns;
  // Of a chat record: what precedes its answer, which is asked as it is; `question` is what it asks
  // last. Else empty.
  std::vector<ChatMessage> messages;
  std::string set;  // of a mixture (MixtureSet.name); else empty
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_PROBLEM_H_
