#include "learner/algorithm/sft/sft.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/task/dataset/bad_records.h"
#include "learner/algorithm/fine_tune.h"

namespace reckon {

absl::Status Sft::Check(const ModelConfig& model, const RunData& data) const {
  BadRecords without, too_long;
  const int64_t max_tokens =
      std::min<int64_t>(stage().training().max_tokens(), model.max_positions);
  for (int64_t i = 0; i < WorkedSolutions(data); ++i) {
    const Problem& problem = data.train[i];
    if (problem.solution.empty()) {
      without.Add(problem.source, "no worked solution");
      continue;
    }
    const int64_t tokens = WorkedSequence(data, problem).tokens.size();
    if (tokens > max_tokens) too_long.Add(problem.source, absl::StrCat(tokens, " tokens"));
  }
  const std::string of =
      absl::StrCat(" of ", WorkedSolutions(data), " problems of stage '", stage().name(), "'");
  RETURN_IF_ERROR(without.Refuse(
      absl::StrCat("data.train: ", without.count(), of, " have no worked solution to learn"),
      "remove the stage or limit it with sft.limit"));
  const bool positions = model.max_positions <= stage().training().max_tokens();
  return too_long.Refuse(
      absl::StrCat("data.train: ", too_long.count(), of, " are too long"),
      absl::StrCat("above ", positions ? "the model's " : "training.max_tokens ", max_tokens,
                   positions ? " positions" : ", which may be raised"));
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
