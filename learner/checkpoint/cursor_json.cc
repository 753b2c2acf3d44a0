#include "learner/checkpoint/cursor_json.h"

#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr int64_t kNone = -1;

absl::StatusOr<std::vector<std::string>> GetStrings(const nlohmann::json& object,
                                                    const char* name) {
  ASSIGN_OR_RETURN(const nlohmann::json* array, GetArray(object, name));
  std::vector<std::string> out;
  for (const nlohmann::json& item : *array) {
    if (!item.is_string()) return absl::InvalidArgumentError(std::string(name) + ": not strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

nlohmann::json ReplayToJson(const ReplayState& replay) {
  nlohmann::json seen = nlohmann::json::array();
  for (const ReplayState::Seen& one : replay.seen) {
    seen.push_back({{"problem", one.problem}, {"score", one.score}, {"step", one.step}});
  }
  return {{"fresh", replay.fresh}, {"seen", std::move(seen)}};
}

absl::StatusOr<ReplayState> ReplayFromJson(const nlohmann::json& json) {
  ReplayState replay;
  ASSIGN_OR_RETURN(replay.fresh, GetInt(json, "fresh"));
  ASSIGN_OR_RETURN(const nlohmann::json* seen, GetArray(json, "seen"));
  int64_t last = -1;
  for (const nlohmann::json& item : *seen) {
    ASSIGN_OR_RETURN(const int64_t problem, GetInt(item, "problem"));
    if (problem <= last) return absl::InvalidArgumentError("seen: not in ascending order");
    ReplayState::Seen& one = replay.seen.emplace_back();
    one.problem = static_cast<uint64_t>(last = problem);
    ASSIGN_OR_RETURN(one.score, GetDouble(item, "score"));
    ASSIGN_OR_RETURN(one.step, GetInt(item, "step"));
  }
  return replay;
}

}  // namespace

nlohmann::json CursorToJson(const Cursor& cursor) {
  return {
      {"stage", cursor.stage},
      {"round", cursor.round},
      {"phase", static_cast<int>(cursor.phase)},
      {"train_step", cursor.train_step},
      {"step", cursor.step},
      {"evals", cursor.evals},
      {"version", cursor.version},
      {"stage_version", cursor.stage_version},
      {"kl_coef", cursor.kl_coef},
      {"batches", cursor.batches},
      {"adapted_version",
       cursor.adapted_version.has_value() ? static_cast<int64_t>(*cursor.adapted_version) : kNone},
      {"replay", ReplayToJson(cursor.replay)},
      {"folders", cursor.folders},
      {"lines", cursor.lines}};
}

absl::StatusOr<Cursor> CursorFromJson(const nlohmann::json& json) {
  Cursor cursor;
  ASSIGN_OR_RETURN(cursor.stage, GetInt(json, "stage"));
  ASSIGN_OR_RETURN(cursor.round, GetInt(json, "round"));
  ASSIGN_OR_RETURN(int64_t phase, GetInt(json, "phase"));
  if (phase < Cursor::kBegin || phase > Cursor::kTrained) {
    return absl::InvalidArgumentError("phase: not known");
  }
  cursor.phase = static_cast<Cursor::Phase>(phase);
  ASSIGN_OR_RETURN(cursor.train_step, GetInt(json, "train_step"));
  ASSIGN_OR_RETURN(cursor.step, GetInt(json, "step"));
  ASSIGN_OR_RETURN(cursor.evals, GetInt(json, "evals"));
  ASSIGN_OR_RETURN(cursor.version, GetInt(json, "version"));
  ASSIGN_OR_RETURN(cursor.stage_version, GetInt(json, "stage_version"));
  ASSIGN_OR_RETURN(cursor.kl_coef, GetDouble(json, "kl_coef"));
  ASSIGN_OR_RETURN(cursor.batches, GetInt(json, "batches"));
  ASSIGN_OR_RETURN(const int64_t adapted, GetInt(json, "adapted_version"));
  if (adapted != kNone) cursor.adapted_version = adapted;
  ASSIGN_OR_RETURN(const nlohmann::json* replay, GetObject(json, "replay"));
  ASSIGN_OR_RETURN(cursor.replay, ReplayFromJson(*replay));
  ASSIGN_OR_RETURN(cursor.folders, GetStrings(json, "folders"));
  ASSIGN_OR_RETURN(cursor.lines, GetStrings(json, "lines"));
  if (cursor.folders.size() != cursor.version || cursor.stage_version > cursor.version ||
      cursor.adapted_version.value_or(0) > cursor.version) {
    return absl::InvalidArgumentError("version: does not fit the weight folders");
  }
  return cursor;
}

}  // namespace reckon
