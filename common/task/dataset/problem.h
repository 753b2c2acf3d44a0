#ifndef RECKON_COMMON_TASK_DATASET_PROBLEM_H_
#define RECKON_COMMON_TASK_DATASET_PROBLEM_H_

#include <string>

namespace reckon {

// One question with its reference. `answer` is the final answer alone ("18"); `solution` is the
// worked solution that ends in "#### 18", empty where the data has none.
struct Problem {
  std::string question;
  std::string answer;
  std::string solution;
  std::string source;  // "train.jsonl:17" or "builtin:train:17"
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_PROBLEM_H_
