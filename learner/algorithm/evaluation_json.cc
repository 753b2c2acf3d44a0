#include "learner/algorithm/evaluation_json.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

nlohmann::ordered_json ToJson(const Estimate& estimate) {
  return {{"value", estimate.value}, {"low", estimate.low}, {"high", estimate.high}};
}

absl::StatusOr<Estimate> EstimateFromJson(const nlohmann::json& json, const std::string& name) {
  ASSIGN_OR_RETURN(const nlohmann::json* object, GetObject(json, name));
  Estimate estimate;
  ASSIGN_OR_RETURN(estimate.value, GetDouble(*object, "value"));
  ASSIGN_OR_RETURN(estimate.low, GetDouble(*object, "low"));
  ASSIGN_OR_RETURN(estimate.high, GetDouble(*object, "high"));
  return estimate;
}

absl::StatusOr<std::map<std::string, uint64_t>> CountsFromJson(const nlohmann::json& json,
                                                               const std::string& name) {
  ASSIGN_OR_RETURN(const nlohmann::json* object, GetObject(json, name));
  std::map<std::string, uint64_t> counts;
  for (const auto& [key, value] : object->items()) {
    if (!value.is_number_unsigned()) return absl::InvalidArgumentError(name + ": not counts");
    counts[key] = value.get<uint64_t>();
  }
  return counts;
}

}  // namespace

nlohmann::ordered_json EvaluationToJson(const Evaluation& evaluation) {
  nlohmann::ordered_json json = {{"index", evaluation.index},
                                 {"name", evaluation.name},
                                 {"version", evaluation.version},
                                 {"problems", evaluation.problems},
                                 {"set_aside", evaluation.set_aside},
                                 {"samples", evaluation.samples},
                                 {"temperature", evaluation.temperature},
                                 {"seconds", evaluation.seconds},
                                 {"maj@1", ToJson(evaluation.maj_at_1)},
                                 {"greedy_verdicts", evaluation.greedy_verdicts}};
  if (evaluation.samples > 0) {
    json["maj@K"] = ToJson(evaluation.maj_at_k);
    json["pass@K"] = ToJson(evaluation.pass_at_k);
    if (evaluation.reranked) {
      json["rerank@K"] = ToJson(evaluation.rerank_at_k);
      json["rerank_weighted@K"] = ToJson(evaluation.rerank_weighted_at_k);
      json["rerank_gain@K"] = ToJson(evaluation.rerank_gain);
    }
    json["sample_verdicts"] = evaluation.sample_verdicts;
    json["pass@k"] = evaluation.pass_at;
    json["distinct_correct"] = {{"text", evaluation.distinct_texts},
                                {"equations", evaluation.distinct_equations}};
  }
  return json;
}

absl::StatusOr<Evaluation> EvaluationFromJson(const nlohmann::json& json) {
  Evaluation evaluation;
  ASSIGN_OR_RETURN(evaluation.index, GetInt(json, "index"));
  ASSIGN_OR_RETURN(evaluation.name, GetString(json, "name"));
  ASSIGN_OR_RETURN(evaluation.version, GetInt(json, "version"));
  ASSIGN_OR_RETURN(evaluation.problems, GetInt(json, "problems"));
  ASSIGN_OR_RETURN(evaluation.set_aside, GetInt(json, "set_aside"));
  ASSIGN_OR_RETURN(evaluation.samples, GetInt(json, "samples"));
  ASSIGN_OR_RETURN(evaluation.temperature, GetDouble(json, "temperature"));
  ASSIGN_OR_RETURN(evaluation.seconds, GetDouble(json, "seconds"));
  ASSIGN_OR_RETURN(evaluation.maj_at_1, EstimateFromJson(json, "maj@1"));
  ASSIGN_OR_RETURN(evaluation.greedy_verdicts, CountsFromJson(json, "greedy_verdicts"));
  if (evaluation.samples > 0) {
    ASSIGN_OR_RETURN(evaluation.maj_at_k, EstimateFromJson(json, "maj@K"));
    ASSIGN_OR_RETURN(evaluation.pass_at_k, EstimateFromJson(json, "pass@K"));
    evaluation.reranked = json.contains("rerank@K");
    if (evaluation.reranked) {
      ASSIGN_OR_RETURN(evaluation.rerank_at_k, EstimateFromJson(json, "rerank@K"));
      ASSIGN_OR_RETURN(evaluation.rerank_weighted_at_k,
                       EstimateFromJson(json, "rerank_weighted@K"));
      ASSIGN_OR_RETURN(evaluation.rerank_gain, EstimateFromJson(json, "rerank_gain@K"));
    }
    ASSIGN_OR_RETURN(evaluation.sample_verdicts, CountsFromJson(json, "sample_verdicts"));
    ASSIGN_OR_RETURN(const nlohmann::json* pass_at, GetObject(json, "pass@k"));
    for (const auto& [k, value] : pass_at->items()) {
      ASSIGN_OR_RETURN(evaluation.pass_at[k], GetDouble(*pass_at, k));
    }
    ASSIGN_OR_RETURN(const nlohmann::json* distinct, GetObject(json, "distinct_correct"));
    ASSIGN_OR_RETURN(evaluation.distinct_texts, GetDouble(*distinct, "text"));
    ASSIGN_OR_RETURN(evaluation.distinct_equations, GetDouble(*distinct, "equations"));
  }
  return evaluation;
}

}  // namespace reckon
