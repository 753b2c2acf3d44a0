#ifndef RECKON_LEARNER_ALGORITHM_EVALUATION_JSON_H_
#define RECKON_LEARNER_ALGORITHM_EVALUATION_JSON_H_

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "learner/algorithm/evaluate.h"

namespace reckon {

nlohmann::ordered_json EvaluationToJson(const Evaluation& evaluation);
// INVALID_ARGUMENT names the field that is missing or wrong.
absl::StatusOr<Evaluation> EvaluationFromJson(const nlohmann::json& json);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_EVALUATION_JSON_H_
