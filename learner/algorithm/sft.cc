#include "learner/algorithm/sft.h"

#include <utility>
#include <vector>

#include "learner/algorithm/fine_tune.h"
#include "learner/algorithm/run_data.h"

namespace reckon {

absl::Status Sft::Round(LearnerContext& context) {
  std::vector<TrainingSequence> sequences;
  if (context.parallel->rank() == 0) {
    const RunData& data = *context.data;
    for (int64_t i = 0; i < SftProblems(context.stage().sft(), data); ++i) {
      sequences.push_back(WorkedSequence(data, data.train[i]));
    }
  }
  return FineTune(context, EiSettings::PREVIOUS, std::move(sequences));
}

}  // namespace reckon
