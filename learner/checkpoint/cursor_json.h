#ifndef RECKON_LEARNER_CHECKPOINT_CURSOR_JSON_H_
#define RECKON_LEARNER_CHECKPOINT_CURSOR_JSON_H_

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "learner/checkpoint/checkpoint.h"

namespace reckon {

nlohmann::json CursorToJson(const Cursor& cursor);
// INVALID_ARGUMENT names the field that is missing or wrong.
absl::StatusOr<Cursor> CursorFromJson(const nlohmann::json& json);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_CURSOR_JSON_H_
