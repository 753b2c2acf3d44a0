#ifndef RECKON_COMMON_MODEL_CONFIG_FIELDS_H_
#define RECKON_COMMON_MODEL_CONFIG_FIELDS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/json.h"

// Typed fields of a config.json from an untrusted source. Each error is one line that begins with
// "config.json: " and the field.
namespace reckon::config_fields {

// INVALID_ARGUMENT.
absl::Status Bad(absl::string_view field, absl::string_view what);
// UNIMPLEMENTED: the field asks for what Reckon does not do.
absl::Status Unsupported(absl::string_view field, absl::string_view what);

inline constexpr int64_t kMaxDimension = 1 << 24;

// A whole number from 1 to `max` that must be there.
absl::StatusOr<int64_t> Dimension(const nlohmann::json& json, const char* field,
                                  int64_t max = kMaxDimension);
// A number from 1e-12 to 1e12: others make angles that overflow to NaN. `value` stays when the
// field is not there.
absl::Status Positive(const nlohmann::json& json, const char* field, double* value);
absl::Status RequirePositive(const nlohmann::json& json, const char* field, double* value);
// False when the field is not there.
absl::StatusOr<bool> IsTrue(const nlohmann::json& json, const char* field);

}  // namespace reckon::config_fields

#endif  // RECKON_COMMON_MODEL_CONFIG_FIELDS_H_
