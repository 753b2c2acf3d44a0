#include "learner/algorithm/sft/sft.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "learner/algorithm/fine_tune.h"

namespace reckon {

absl::Status Sft::Check(const ModelConfig& model, const RunData& data) const {
  for (int64_t i = 0; i < WorkedSolutions(data); ++i) {
    const Problem& problem = data.train[i];
    if (problem.solution.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(problem.source, ": no worked solution, which stage '", stage().name(),
                       "' learns; remove the stage or limit it with sft.limit"));
    }
    const int64_t tokens = WorkedSequence(data, problem).tokens.size();
    const int64_t max_tokens = stage().training().max_tokens();
    if (tokens > model.max_positions) {
      return absl::InvalidArgumentError(absl::StrCat(problem.source, ": ", tokens,
                                                     " tokens, above the model's ",
                                                     model.max_positions, " positions"));
    }
    if (tokens > max_tokens) {
      return absl::InvalidArgumentError(absl::StrCat(problem.source, ": ", tokens,
                                                     " tokens, above training.max_tokens ",
                                                     max_tokens, "; raise it"));
    }
  }
  return absl::OkStatus();
}

int64_t Sft::WorkedSolutions(const RunData& data) const {
  const int64_t all = data.train.size(), limit = stage().sft().limit();
  return limit > 0 ? std::min(limit, all) : all;
}

absl::Status Sft::Round(RankContext& ranks) {
  std::vector<TrainingSequence> sequences;
  if (ranks.leader != nullptr) {
    const RunData& data = ranks.leader->data;
    for (int64_t i = 0; i < WorkedSolutions(data); ++i) {
      sequences.push_back(WorkedSequence(data, data.train[i]));
    }
  }
  return FineTune(ranks, std::move(sequences));
}

}  // namespace reckon
